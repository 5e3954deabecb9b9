"""What to try, by what a profile found: plain rules, each with the figure from which on it speaks.

A rule says nothing of figures under its threshold, and none promises anything: what to try is
measured by trying it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engines.operator_groups import COPIES, GELU_PARTS, MOVING, NORM_PARTS, QUANTIZERS
from engines.phases import DATA, OPTIMIZER
from engines.profile_figures import (
    CORE_UNDER,
    between,
    busy,
    core,
    float_beside_int8,
    float_only,
    gpu_copies,
    gpu_idle,
    group_share,
    padding,
    part_share,
    share,
    spelled_norm,
)
from engines.profile_record import Advice, Profile

# Shares of a call or step, unless a rule says of what.
FLOAT_PRODUCTS_FROM = 0.4
QUANTIZING_FROM = 0.15
SPELLED_NORM_FROM = 0.05
SPELLED_GELU_FROM = 0.05
MOVING_FROM = 0.2
BETWEEN_FROM = 0.3
TOKENIZING_FROM = 0.25
PADDING_FROM = 0.2
BUSY_UNDER = 0.6
DATA_FROM = 0.1
CASTS_FROM = 0.15
OPTIMIZER_FROM = 0.15
GPU_IDLE_FROM = 0.3
GPU_COPIES_FROM = 0.15
PROFILER_FROM = 0.3


@dataclass(frozen=True)
class _Rule:
    """`figure` is what speaks from `threshold` on; below it where `under`."""

    name: str
    what: str
    threshold: float
    figure: Callable[[Profile], float | None]
    advice: str
    under: bool = False

    def speaks(self, profile: Profile) -> Advice | None:
        """What to try, or None where the figure does not stand out or there is none."""
        figure = self.figure(profile)
        if figure is None or (figure >= self.threshold if self.under else figure < self.threshold):
            return None
        threshold = f"{100 * self.threshold:.0f} %"
        return Advice(
            rule=self.name,
            found=f"{100 * figure:.0f} % {self.what}",
            threshold=f"under {threshold}" if self.under else f"from {threshold} on",
            advice=self.advice,
        )


def advice_of(profile: Profile) -> list[Advice]:
    """What to try, by the figures; empty where nothing stands out."""
    rules = ENGINE_RULES if profile.what == "call" else TRAINING_RULES
    spoken = (rule.speaks(profile) for rule in (*rules, *SHARED_RULES))
    return [advice for advice in spoken if advice is not None]


ENGINE_RULES: Sequence[_Rule] = (
    _Rule(
        "no INT8 products",
        "of a call is products in float, and none are INT8",
        FLOAT_PRODUCTS_FROM,
        float_only,
        "Have it made INT8, as `sub50 engines build` and `import` do: the default models then take "
        "less than half of the time (docs/int8.md).",
    ),
    _Rule(
        "products left in float",
        "of a call is products in float, beside INT8 ones",
        FLOAT_PRODUCTS_FROM,
        float_beside_int8,
        "Look in the table of nodes which they are. Attention stays float and grows with the "
        "square of the length: shorter texts cost less. Linear layers can be INT8: "
        "`sub50 engines quantize` shows which were left, and what each scheme costs.",
    ),
    _Rule(
        "much quantizing",
        "of a call is quantizing and back",
        QUANTIZING_FROM,
        lambda profile: share(profile, QUANTIZERS),
        "Scales that are worked out anew for each call cost this. `sub50 engines quantize` "
        "compares schemes with static scales.",
    ),
    _Rule(
        "layer norms spelled out",
        f"of a call is {', '.join(NORM_PARTS)}",
        SPELLED_NORM_FROM,
        spelled_norm,
        "Layer norms are made of single steps: export the graph anew with opset 17 or later, "
        "which has an operator for them.",
    ),
    _Rule(
        "GELU spelled out",
        f"of a call is {' and '.join(GELU_PARTS)}",
        SPELLED_GELU_FROM,
        lambda profile: share(profile, GELU_PARTS),
        "The activation is made of single steps: export the graph anew with opset 20 or later, "
        "which has an operator for GELU.",
    ),
    _Rule(
        "much moving",
        "of a call moves values about or casts them",
        MOVING_FROM,
        lambda profile: group_share(profile, MOVING),
        "The table of nodes says which; transposes around attention and casts between types can "
        "often be left out of an export.",
    ),
    _Rule(
        "time between operators",
        "of a call passes between operators",
        BETWEEN_FROM,
        between,
        "It is paid for each operator and call, whatever the number of texts: more texts in a "
        "call, or fewer and larger operators.",
    ),
    _Rule(
        "threads that wait",
        "of the threads were busy during calls",
        BUSY_UNDER,
        busy,
        "A call is too small to share out: fewer threads and more instances may answer more. "
        "`sub50 engines tune` measures it.",
        under=True,
    ),
    _Rule(
        "much tokenizing",
        "of a text's way is tokenizing",
        TOKENIZING_FROM,
        lambda profile: part_share(profile, "tokenizing"),
        "Texts that are cut at the engine's length are tokenized whole: cut them before, if they "
        "are far longer.",
    ),
    _Rule(
        "much padding",
        "of the tokens that are run is padding",
        PADDING_FROM,
        padding,
        "Texts of like length should share a call. The server's backends cut what waits by its "
        "length; who calls an engine directly has to sort.",
    ),
)
TRAINING_RULES: Sequence[_Rule] = (
    _Rule(
        "much data loading",
        "of a step is making the batch",
        DATA_FROM,
        lambda profile: part_share(profile, DATA),
        "Batches can be made ahead, by another thread or process, while the one before is learned.",
    ),
    _Rule(
        "much casting",
        "of a step copies and casts",
        CASTS_FROM,
        lambda profile: share(profile, COPIES),
        "Mixed precision casts weights and activations at every product. Where the processor has "
        "no instructions for bfloat16, float32 may be faster.",
    ),
    _Rule(
        "much optimizer",
        "of a step is the optimizer",
        OPTIMIZER_FROM,
        lambda profile: part_share(profile, OPTIMIZER),
        "It costs the same for each step: more tokens to a batch make fewer of them; so do "
        "fewer trained weights (a lower rank).",
    ),
    _Rule(
        "time between operators",
        "of a step passes between operators, in Python",
        BETWEEN_FROM,
        between,
        "Operators are too small for what starting each costs: more tokens to a batch.",
    ),
    _Rule(
        "threads that wait",
        "of the threads were busy during steps",
        BUSY_UNDER,
        busy,
        "Train with fewer threads (`--threads`), or more tokens to a batch.",
        under=True,
    ),
    _Rule(
        "much padding",
        "of the tokens that are trained on is padding",
        PADDING_FROM,
        padding,
        "Texts are padded to the lengths of core/buckets.py; more short lengths would waste less.",
    ),
)
SHARED_RULES: Sequence[_Rule] = (
    _Rule(
        "a busy machine",
        "of a core is what it got",
        CORE_UNDER,
        core,
        "Something else uses the processor: profile again when the machine is quiet. What is said "
        "here of times and shares is what the others left.",
        under=True,
    ),
    _Rule(
        "idle GPU",
        "of the time the GPU runs nothing",
        GPU_IDLE_FROM,
        gpu_idle,
        "It waits for the processor: larger batches, or fewer, fused operators. CUDA graphs "
        "launch all of a call at once; served engines have them, and lack them while the profiler "
        "looks on.",
    ),
    _Rule(
        "copies to and from the GPU",
        "of the time is copies that nothing runs beside",
        GPU_COPIES_FROM,
        gpu_copies,
        "Keep inputs and outputs on the GPU (IO binding), copy from pinned memory, and look for "
        "operators that run on the processor in between.",
    ),
    _Rule(
        "a costly profiler",
        "longer with the profiler than without",
        PROFILER_FROM,
        lambda profile: profile.profiler_cost,
        "Small operators look larger than they are, because each costs the profiler the same: "
        "compare large ones only.",
    ),
)
