"""Chooses among TensorRT plans of one version: FP16 or INT8, and how many of them share the GPU.

The plan of the precision that the version was not built in is built here, of the graph that the
version was made of. Every plan is asked by the gate, and measured, as it is: on the GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import onnx

from core.card import PLAN_FILE, TOKENIZER_FILE, write_card
from core.plan import TENSORRT
from core.tokenizer import TextTokenizer
from engines import quantize_subject
from engines.errors import EngineError
from engines.gpu import Gpu
from engines.measure import open_session
from engines.model_config import MAX_BATCH_SIZE
from engines.plan_files import OTHER, PLAN_FILES, built_precision
from engines.plan_graph import plan_graph
from engines.plan_here import open_plan, require_plan_runs
from engines.plan_shapes import profiles
from engines.plans import plan_of
from engines.runtime_options import Precision
from engines.runtimes import GPU_LAYOUTS, Candidate
from engines.sensitivity import Judge
from engines.tune_choice import Choice
from engines.tune_gate import judged
from engines.tune_measured import measured
from engines.tune_reference import AfterInt8, Origin, made_anew
from engines.tune_report import Tuned
from engines.tune_subject import Subject


def require_choice(subject: Subject, choice: Choice) -> None:
    """Raise EngineError unless what is asked for can be measured of a version that is a plan."""
    if choice.unmeasured or choice.runtime not in (None, TENSORRT):
        raise EngineError(
            f"{subject.name} is a TensorRT plan, and measured by TensorRT alone: leave out "
            "--runtime and --unmeasured, or name the repository with the engines that are ONNX "
            "with --repository"
        )
    if choice.precision is not None and choice.precision.upper() not in PLAN_FILES:
        raise EngineError(f"--precision {choice.precision}: plans are fp16 or int8")
    require_plan_runs(subject.card)


class PlanWork:
    """One version being tuned, its plans side by side in a folder with its card."""

    def __init__(self, subject: Subject, folder: Path, told: Callable[[str], None]) -> None:
        self.subject, self.folder, self.told = subject, folder, told

    def tune(self, choice: Choice, origin: Origin) -> Tuned:
        """Build what is missing, ask the gate, measure, and choose."""
        gpu = require_plan_runs(self.subject.card)
        write_card(self.subject.card, self.folder)  # says the profiles
        built = built_precision(self.subject.card)
        (self.folder / PLAN_FILE).symlink_to((self.subject.folder / PLAN_FILE).absolute())
        judge, reference, missing = self._judge(origin)
        files, left_out = {built: PLAN_FILE}, [missing] if missing else []
        other, wanted = OTHER[built], (choice.precision or "").upper()
        if reference is not None and wanted != built:
            if refused := self._build(Precision(other.lower()), reference, judge, gpu):
                left_out.append(refused)
            else:
                files[other] = PLAN_FILES[other]
        possible = [way for way in ways(files) if wanted in ("", way.precision)]
        if not possible:
            raise EngineError(f"{self.subject.name}: {'; '.join(left_out)}")
        asked = judged(possible, self.folder, judge, self.told)
        return measured(self.subject, self.folder, asked, choice, self.told, left_out, gpu)

    def _judge(self, origin: Origin) -> tuple[Judge, onnx.ModelProto | None, str | None]:
        """What holds the plans against the unquantized graph; that graph, or why there is none.

        Without it, plans are held against the one that was built, and to what its gate found.
        """
        card = self.subject.card
        reference = made_anew(self.subject, origin, self.told)
        if isinstance(reference, EngineError):
            built = open_plan(self.folder / PLAN_FILE)
            judge = AfterInt8(card, self.subject.judge(built))
            other = OTHER[built_precision(card)]
            missing = f"{other} is left out, which takes the unquantized graph: {reference}"
            return judge, None, missing
        return self.subject.judge(open_session(reference)), reference, None

    def _build(
        self, precision: Precision, reference: onnx.ModelProto, judge: Judge, gpu: Gpu
    ) -> str | None:
        """Build the plan of that precision into the folder; returns why there is none, or None."""
        card = self.subject.card
        tokenizer = TextTokenizer(self.subject.folder / TOKENIZER_FILE, card.max_tokens)
        texts = list(self.subject.texts.calibration)
        made_of = quantize_subject.Subject(
            name=self.subject.name,
            reference=reference,
            rows=[tokens.ids for tokens in tokenizer.encode(texts)],
            token_ids=self.subject.token_ids,
            judge=judge,
            make_card=lambda found, made: card,  # the version keeps its own
        )
        try:
            graph = plan_graph(made_of, precision, self.told)
            plan = plan_of(graph.model, profiles(card.max_tokens, MAX_BATCH_SIZE), gpu, self.told)
        except EngineError as error:
            return f"{precision.upper()} is left out: {error}"
        (self.folder / PLAN_FILES[precision.upper()]).write_bytes(plan)
        return None


def ways(files: dict[str, str]) -> list[Candidate]:
    """The candidates for plan files by their precision, each as one and as two instances."""
    found: list[Candidate] = []
    for precision, file in files.items():
        name: Literal["INT8", "FP16"] = "INT8" if precision == "INT8" else "FP16"
        found += [Candidate(TENSORRT, name, *layout, file) for layout in GPU_LAYOUTS]
    return found
