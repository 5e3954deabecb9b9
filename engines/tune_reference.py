"""What the candidates of a tuning are held against: the unquantized graph, made anew.

Where what an engine was made of is gone, it is the INT8 engine itself, as ONNX Runtime runs it:
what its own gate found that INT8 changes is then added to what the candidates change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from core.card import ENGINE_FILE, TOKENIZER_FILE, Accuracy, EngineCard
from core.tokenizer import TextTokenizer
from engines import base, gate
from engines.catalog import spec_of
from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.examiner import Findings
from engines.gate_imported import same_checkpoint
from engines.importing import export_module, exported
from engines.making import ingredients_of, reference_graph
from engines.measure import Engine
from engines.merge import ADAPTER_FILE, ADAPTERS
from engines.runtimes import REFERENCE_FILE, open_engine
from engines.sensitivity import Judge
from engines.texts import calibration_texts
from engines.tune_subject import Subject

TRAINED = Path("runs") / "adapters"


@dataclass(frozen=True)
class Origin:
    """Where to look for what engines were made of.

    Attributes:
        base_folder: folder of the base encoder; None fetches it into a cache.
        source: folder of the checkpoint, or of the adapter, where it is not found by itself.
        adapters: folder with one folder for each adapter.
    """

    base_folder: Path | None = None
    source: Path | None = None
    adapters: Path = ADAPTERS


def made_anew(
    subject: Subject, origin: Origin, told: Callable[[str], None]
) -> onnx.ModelProto | EngineError:
    """`unquantized`, or why it cannot be had where nobody named what it is made of.

    Raises:
        EngineError: what was named does not make it.
    """
    told("making the unquantized graph")
    is_base_named = subject.card.imported is None and origin.base_folder is not None
    try:
        return unquantized(subject, origin)
    except EngineError as error:
        if origin.source is not None or is_base_named:
            raise
        return error


def unquantized(subject: Subject, origin: Origin) -> onnx.ModelProto:
    """The graph that the subject's engine was quantized from.

    Raises:
        EngineError: its checkpoint, adapter or base is gone or changed, or PyTorch is missing,
            which a checkpoint needs; says which.
    """
    card = subject.card
    if card.imported is not None:
        checkpoint = same_checkpoint(card, origin.source)
        tokenizer = TextTokenizer(subject.folder / TOKENIZER_FILE, card.max_tokens)
        rows = [tokens.ids for tokens in tokenizer.encode(calibration_texts())]
        return exported(export_module(), checkpoint, rows)[0]
    return _trained_graph(card, origin)


def _trained_graph(card: EngineCard, origin: Origin) -> onnx.ModelProto:
    """Of an engine made of the base, and of an adapter where its card names one."""
    which = f"version {card.version} of {card.name}"
    if card.base_sha256 != base.SHA256[base.WEIGHTS_FILE]:
        raise EngineError(f"{which} was made of another base, {card.base}")
    spec, adapters = spec_of(card), origin.adapters
    if card.adapter is not None:
        folder = _adapter_folder(card, card.adapter, origin)
        spec, adapters = replace(spec, adapter=folder.name), folder.parent
    elif origin.source is not None:
        raise EngineError(f"--source {origin.source}: {which} is the base alone, without adapter")
    folder = base.ensure_base(origin.base_folder)
    return reference_graph(ingredients_of(spec, folder, adapters))


def _adapter_folder(card: EngineCard, adapter: str, origin: Origin) -> Path:
    """Where the adapter of those very bytes lies."""
    places = [origin.adapters / adapter, TRAINED / adapter, TRAINED / card.name]
    places = [origin.source] if origin.source else list(dict.fromkeys(places))
    for folder in places:
        file = folder / ADAPTER_FILE
        if file.is_file() and file_sha256(file) == card.adapter_sha256:
            return folder.resolve()
    raise EngineError(
        f"version {card.version} of {card.name} was made of the adapter {adapter} (SHA-256 "
        f"{(card.adapter_sha256 or '')[:12]}…), which is not in {', '.join(map(str, places))}; "
        "name its folder with --source"
    )


class AfterInt8:
    """Judges on top of what the INT8 engine's own gate found, which its card says.

    Changes add up at most, so the sum is held to the limit: nothing passes here that would not
    against the unquantized graph.
    """

    def __init__(self, card: EngineCard, judge: Judge) -> None:
        self.card, self.judge = card, judge

    def examine(self, engine: Engine, /) -> Findings:
        """What an engine does to the answers at most, and what the gate says of it."""
        found = self.judge.examine(engine)
        change = found.drift.mean_change + self.card.drift.mean_change
        drift = found.drift.model_copy(update={"mean_change": change})
        lost = {each.data: each.reference_accuracy - each.accuracy for each in self.card.accuracy}
        accuracy = [_further(each, lost.get(each.data, 0.0)) for each in found.accuracy]
        return Findings(
            drift, found.invariance, accuracy, gate.judge(drift, found.invariance, accuracy)
        )

    def mean_change(self, engine: Engine, texts: int, /) -> float:
        """Mean change of an answer over the first so many probes, at most."""
        return self.judge.mean_change(engine, texts) + self.card.drift.mean_change


def _further(figures: Accuracy, lost: float) -> Accuracy:
    reference = figures.reference_accuracy + max(0.0, lost)
    return figures.model_copy(update={"reference_accuracy": reference})


def judge_of(subject: Subject, folder: Path) -> Judge:
    """What holds candidates against the engine files in `folder`: the unquantized one if there."""
    if (folder / REFERENCE_FILE).is_file():
        return subject.judge(open_engine(folder / REFERENCE_FILE, "onnxruntime", "FP32"))
    int8 = open_engine(folder / ENGINE_FILE, "onnxruntime", "INT8")
    return AfterInt8(subject.card, subject.judge(int8))
