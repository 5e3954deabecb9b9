"""PyTorch to ONNX: a checkpoint as an FP32 graph with the inputs and the output of our engines.

The one module of importing that needs PyTorch. The graph comes from `torch.onnx.export`, which is
kept with PyTorch itself; optimum would write the same graph with one dependency more. Attention is
exported as it is spelled out in transformers ("eager"): the fused kind turns masked scores into
infinities, and a row of padding with nothing to look at into NaN.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import transformers
from numpy.typing import NDArray

from core.card import TOKENIZER_FILE
from core.tokenizer import pad
from engines.checkpoint import Checkpoint, check_tokenizer
from engines.errors import CheckpointError
from engines.graph import OPSET
from engines.measure import Floats, Rows, feed, open_session
from engines.tensor_names import INPUT_NAMES

# Both sides add up the same numbers in another order.
LARGEST_DIFFERENCE = 1e-4
COMPARED_ROWS = 16
ROWS_IN_BATCH = 4
EXAMPLE_SHAPE = (2, 24)
# They tell of operators that no classifier has.
TALKATIVE = ("torch.onnx", "onnxscript", "onnx_ir")


class WithOurInputs(torch.nn.Module):
    """A classifier that takes what every engine takes, and gives its logits."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.takes_types = "token_type_ids" in inspect.signature(model.forward).parameters

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """Logits, FP32 (batch, labels), of int64 (batch, tokens)."""
        types = {"token_type_ids": token_type_ids} if self.takes_types else {}
        logits: torch.Tensor = self.model(
            input_ids=input_ids, attention_mask=attention_mask, **types
        ).logits
        return logits


def load_classifier(checkpoint: Checkpoint) -> WithOurInputs:
    """The checkpoint's model, from safetensors alone, ready to answer.

    Raises:
        CheckpointError: the weights do not fit the configuration, or some are missing.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    kind: Any = getattr(transformers, checkpoint.architecture)
    try:
        model, info = kind.from_pretrained(
            checkpoint.folder,
            use_safetensors=True,
            local_files_only=True,
            attn_implementation="eager",
            dtype=torch.float32,
            num_labels=len(checkpoint.labels),
            output_loading_info=True,
        )
    except (RuntimeError, ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{checkpoint.source} cannot be loaded as {checkpoint.architecture}: {error}"
        ) from error
    missing = sorted(info["missing_keys"]) + sorted(map(str, info.get("mismatched_keys", ())))
    if missing:
        raise CheckpointError(
            f"the weights of {checkpoint.source} lack {', '.join(missing[:5])}"
            f"{' and others' if len(missing) > 5 else ''}; copy or save the checkpoint again"
        )
    return WithOurInputs(model.eval())


def export_graph(classifier: WithOurInputs, checkpoint: Checkpoint) -> onnx.ModelProto:
    """The classifier as an ONNX graph: our three inputs, `logits`, batch and tokens dynamic.

    Raises:
        CheckpointError: PyTorch cannot export the model.
    """
    ids = torch.ones(EXAMPLE_SHAPE, dtype=torch.int64)
    mask = torch.ones(EXAMPLE_SHAPE, dtype=torch.int64)
    mask[1, EXAMPLE_SHAPE[1] // 2 :] = 0
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    batch = torch.export.Dim("batch", min=1, max=1024)
    tokens = torch.export.Dim("tokens", min=1, max=checkpoint.max_tokens)
    try:
        # The exporter warns of its own deprecated parts.
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                classifier,
                (ids, mask, torch.zeros_like(ids)),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(INPUT_NAMES),
                output_names=["logits"],
                dynamic_shapes=tuple({0: batch, 1: tokens} for _ in INPUT_NAMES),
                verbose=False,
            )
    except Exception as error:  # whatever a model's code raises while it is traced
        raise CheckpointError(
            f"PyTorch {torch.__version__} cannot export {checkpoint.architecture} with "
            f"transformers {transformers.__version__}: {error}"
        ) from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def answers_of(classifier: WithOurInputs, rows: Rows) -> Floats:
    """PyTorch's logits for padded batches of rows, float32 (rows, labels)."""
    return _in_batches(rows, lambda inputs: _run(classifier, inputs))


def largest_difference(classifier: WithOurInputs, graph: onnx.ModelProto, rows: Rows) -> float:
    """How far the graph's logits are from PyTorch's, over texts of mixed length in batches.

    Raises:
        CheckpointError: farther than rounding explains.
    """
    session = open_session(graph)
    expected = answers_of(classifier, rows)
    answered = _in_batches(rows, lambda inputs: session.run(None, inputs)[0])
    difference = float(np.abs(expected - answered).max() / max(1.0, float(np.abs(expected).max())))
    # Written so that a NaN, which compares false with everything, is refused.
    if not difference <= LARGEST_DIFFERENCE:
        raise CheckpointError(
            f"the exported graph's logits differ from PyTorch's by {difference:.2g}; at most "
            f"{LARGEST_DIFFERENCE:g} is rounding. Nothing was written"
        )
    return difference


def write_tokenizer(checkpoint: Checkpoint, target: Path) -> None:
    """Write tokenizer.json, converted from an older kind of vocabulary.

    Raises:
        CheckpointError: transformers cannot read or convert it.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False
        )
        tokenizer.backend_tokenizer.save(str(target))
    except Exception as error:  # each tokenizer raises what it likes
        raise CheckpointError(
            f"transformers cannot make {TOKENIZER_FILE} from the vocabulary in "
            f"{checkpoint.folder}: {error}"
        ) from error
    check_tokenizer(target, checkpoint.vocabulary)


def _in_batches(rows: Rows, run: Any) -> Floats:
    starts = range(0, len(rows), ROWS_IN_BATCH)
    return np.concatenate([run(feed(*pad(rows[i : i + ROWS_IN_BATCH]))) for i in starts])


def _run(classifier: WithOurInputs, inputs: dict[str, NDArray[np.int64]]) -> Floats:
    with torch.no_grad():
        logits = classifier(*(torch.from_numpy(inputs[name]) for name in INPUT_NAMES))
    answered: Floats = logits.numpy()
    return answered
