"""The figures of a profile that rules look at: shares, or None where there is nothing to say."""

from __future__ import annotations

from collections.abc import Collection

from engines.operator_groups import FLOAT_PRODUCTS, INT8_PRODUCTS, NORM_PARTS
from engines.profile_record import Profile
from engines.profile_totals import BETWEEN

# Cores: a call that computes has at least one, unless others want it.
CORE_UNDER = 0.8


def share(profile: Profile, names: Collection[str]) -> float:
    """What so many types of operator take of a call or step."""
    return sum(total.share for total in profile.operators if total.name in names)


def group_share(profile: Profile, group: str) -> float:
    """What a group of operators takes of it."""
    return sum(total.share for total in profile.operators if total.group == group)


def part_share(profile: Profile, name: str) -> float:
    """What a part takes of a text's way, or of a step."""
    return sum(part.share for part in profile.parts if part.name == name)


def float_products(profile: Profile) -> float:
    """Products in float."""
    return group_share(profile, FLOAT_PRODUCTS)


def float_only(profile: Profile) -> float | None:
    """Products in float, where none are INT8."""
    return None if group_share(profile, INT8_PRODUCTS) else float_products(profile)


def float_beside_int8(profile: Profile) -> float | None:
    """Products in float, where others are INT8."""
    return float_products(profile) if group_share(profile, INT8_PRODUCTS) else None


def spelled_norm(profile: Profile) -> float | None:
    """The steps that layer norms are made of, where all of them are there."""
    there = {total.name for total in profile.operators}
    # One of them alone is pooling, or something else.
    return share(profile, NORM_PARTS) if there.issuperset(NORM_PARTS) else None


def busy(profile: Profile) -> float | None:
    """The share of several threads that were busy; None where there was no core to be had."""
    cores = core(profile)
    if cores is None or profile.threads < 2 or cores < CORE_UNDER:
        return None
    return cores / profile.threads


def core(profile: Profile) -> float | None:
    """How many cores were busy; None with a GPU, for which the processor waits."""
    return None if profile.gpu else profile.busy_threads


def padding(profile: Profile) -> float | None:
    """Of the tokens that are run; None for texts by themselves, which a runtime may pad too."""
    return profile.padding_share if profile.texts > 1 else None


def between(profile: Profile) -> float | None:
    """Time between operators; None with a GPU, where the processor only launches, and waits."""
    return None if profile.gpu else profile.inside_share(BETWEEN)


def gpu_idle(profile: Profile) -> float | None:
    """The time in which a GPU runs nothing."""
    return profile.gpu.idle_ms / profile.profiled_ms if profile.gpu else None


def gpu_copies(profile: Profile) -> float | None:
    """The time of copies beside which it runs nothing."""
    return profile.gpu.copies_ms / profile.profiled_ms if profile.gpu else None
