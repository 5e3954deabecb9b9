"""What to try, by what a profile found: plain rules, each with the figure from which on it speaks.

A rule says nothing of figures under its threshold, and none promises anything: what to try is
measured by trying it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from engines.operator_groups import (
    COPIES,
    FLOAT_PRODUCTS,
    GELU_PARTS,
    INT8_PRODUCTS,
    MOVING,
    NORM_PARTS,
    QUANTIZERS,
)
from engines.phases import DATA, OPTIMIZER
from engines.profile_record import Advice, Profile
from engines.profile_totals import BETWEEN

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
# Cores: a call that computes has at least one, unless others want it.
CORE_UNDER = 0.8
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


def _share(profile: Profile, names: Collection[str]) -> float:
    return sum(total.share for total in profile.operators if total.name in names)


def _group_share(profile: Profile, group: str) -> float:
    return sum(total.share for total in profile.operators if total.group == group)


def _part_share(profile: Profile, name: str) -> float:
    return sum(part.share for part in profile.parts if part.name == name)


def _float_products(profile: Profile) -> float:
    return _group_share(profile, FLOAT_PRODUCTS)


def _float_only(profile: Profile) -> float | None:
    return None if _group_share(profile, INT8_PRODUCTS) else _float_products(profile)


def _float_beside_int8(profile: Profile) -> float | None:
    return _float_products(profile) if _group_share(profile, INT8_PRODUCTS) else None


def _spelled_norm(profile: Profile) -> float | None:
    there = {total.name for total in profile.operators}
    # One of them alone is pooling, or something else.
    return _share(profile, NORM_PARTS) if there.issuperset(NORM_PARTS) else None


def _busy(profile: Profile) -> float | None:
    cores = _core(profile)
    if cores is None or profile.threads < 2 or cores < CORE_UNDER:
        return None
    return cores / profile.threads


def _core(profile: Profile) -> float | None:
    # With a GPU the processor waits for it.
    return None if profile.gpu else profile.busy_threads


def _between(profile: Profile) -> float | None:
    # On a GPU the processor only launches, and waits.
    return None if profile.gpu else profile.inside_share(BETWEEN)


def _gpu_idle(profile: Profile) -> float | None:
    return profile.gpu.idle_ms / profile.profiled_ms if profile.gpu else None


def _gpu_copies(profile: Profile) -> float | None:
    return profile.gpu.copies_ms / profile.profiled_ms if profile.gpu else None


ENGINE_RULES: Sequence[_Rule] = (
    _Rule(
        "no INT8 products",
        "of a call is products in float, and none are INT8",
        FLOAT_PRODUCTS_FROM,
        _float_only,
        "Have it made INT8, as `sub50 engines build` and `import` do: the default models then take "
        "less than half of the time (docs/int8.md).",
    ),
    _Rule(
        "products left in float",
        "of a call is products in float, beside INT8 ones",
        FLOAT_PRODUCTS_FROM,
        _float_beside_int8,
        "Look in the table of nodes which they are. Attention stays float and grows with the "
        "square of the length: shorter texts cost less. Linear layers can be INT8: "
        "`sub50 engines quantize` shows which were left, and what each scheme costs.",
    ),
    _Rule(
        "much quantizing",
        "of a call is quantizing and back",
        QUANTIZING_FROM,
        lambda profile: _share(profile, QUANTIZERS),
        "Scales that are worked out anew for each call cost this. `sub50 engines quantize` "
        "compares schemes with static scales.",
    ),
    _Rule(
        "layer norms spelled out",
        f"of a call is {', '.join(NORM_PARTS)}",
        SPELLED_NORM_FROM,
        _spelled_norm,
        "Layer norms are made of single steps: export the graph anew with opset 17 or later, "
        "which has an operator for them.",
    ),
    _Rule(
        "GELU spelled out",
        f"of a call is {' and '.join(GELU_PARTS)}",
        SPELLED_GELU_FROM,
        lambda profile: _share(profile, GELU_PARTS),
        "The activation is made of single steps: export the graph anew with opset 20 or later, "
        "which has an operator for GELU.",
    ),
    _Rule(
        "much moving",
        "of a call moves values about or casts them",
        MOVING_FROM,
        lambda profile: _group_share(profile, MOVING),
        "The table of nodes says which; transposes around attention and casts between types can "
        "often be left out of an export.",
    ),
    _Rule(
        "time between operators",
        "of a call passes between operators",
        BETWEEN_FROM,
        _between,
        "It is paid for each operator and call, whatever the number of texts: more texts in a "
        "call, or fewer and larger operators.",
    ),
    _Rule(
        "threads that wait",
        "of the threads were busy during calls",
        BUSY_UNDER,
        _busy,
        "A call is too small to share out: fewer threads and more instances may answer more. "
        "`sub50 engines tune` measures it.",
        under=True,
    ),
    _Rule(
        "much tokenizing",
        "of a text's way is tokenizing",
        TOKENIZING_FROM,
        lambda profile: _part_share(profile, "tokenizing"),
        "Texts that are cut at the engine's length are tokenized whole: cut them before, if they "
        "are far longer.",
    ),
    _Rule(
        "much padding",
        "of the tokens that are run is padding",
        PADDING_FROM,
        lambda profile: profile.padding_share,
        "Texts of like length should share a call. The server's backends cut what waits by its "
        "length; who calls an engine directly has to sort.",
    ),
)
TRAINING_RULES: Sequence[_Rule] = (
    _Rule(
        "much data loading",
        "of a step is making the batch",
        DATA_FROM,
        lambda profile: _part_share(profile, DATA),
        "Batches can be made ahead, by another thread or process, while the one before is learned.",
    ),
    _Rule(
        "much casting",
        "of a step copies and casts",
        CASTS_FROM,
        lambda profile: _share(profile, COPIES),
        "Mixed precision casts weights and activations at every product. Where the processor has "
        "no instructions for bfloat16, float32 may be faster.",
    ),
    _Rule(
        "much optimizer",
        "of a step is the optimizer",
        OPTIMIZER_FROM,
        lambda profile: _part_share(profile, OPTIMIZER),
        "It costs the same for each step: more tokens to a batch make fewer of them; so do "
        "fewer trained weights (a lower rank).",
    ),
    _Rule(
        "time between operators",
        "of a step passes between operators, in Python",
        BETWEEN_FROM,
        _between,
        "Operators are too small for what starting each costs: more tokens to a batch.",
    ),
    _Rule(
        "threads that wait",
        "of the threads were busy during steps",
        BUSY_UNDER,
        _busy,
        "Train with fewer threads (`--threads`), or more tokens to a batch.",
        under=True,
    ),
    _Rule(
        "much padding",
        "of the tokens that are trained on is padding",
        PADDING_FROM,
        lambda profile: profile.padding_share,
        "Texts are padded to the lengths of core/buckets.py; more short lengths would waste less.",
    ),
)
SHARED_RULES: Sequence[_Rule] = (
    _Rule(
        "a busy machine",
        "of a core is what it got",
        CORE_UNDER,
        _core,
        "Something else uses the processor: profile again when the machine is quiet. What is said "
        "here of times and shares is what the others left.",
        under=True,
    ),
    _Rule(
        "idle GPU",
        "of the time the GPU runs nothing",
        GPU_IDLE_FROM,
        _gpu_idle,
        "It waits for the processor: larger batches; fewer, fused operators; or CUDA graphs, "
        "which launch all of a call at once.",
    ),
    _Rule(
        "copies to and from the GPU",
        "of the time is copies that nothing runs beside",
        GPU_COPIES_FROM,
        _gpu_copies,
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
