"""Whether TensorRT plans can run on this machine, or on the one that they are delivered to."""

from __future__ import annotations

from pathlib import Path

from core.card import EngineCard
from core.gpu import GpuError, find_gpus
from core.plan import Target, unfit
from core.versions import VersionError, served_folder, whole_card
from engines.errors import EngineError, PlanError
from engines.gpu import tensorrt_installed
from engines.model_config import CONFIG_FILE

HERE = "this machine"


def target_here() -> Target:
    """The GPU and the TensorRT of this machine; different GPUs count as unknown.

    Raises:
        GpuError: no GPU can be read.
    """
    kinds = {(gpu.name, gpu.compute_capability) for gpu in find_gpus()}
    name, compute_capability = kinds.pop() if len(kinds) == 1 else (None, None)
    installed = tensorrt_installed()
    return Target(HERE, name, compute_capability, installed[0] if installed else None)


def unfit_here(card: EngineCard) -> list[str]:
    """Why a version cannot run on this machine, as far as that can be read; empty where it can."""
    if card.plan is None:
        return []
    try:
        return unfit(card.plan, target_here())
    except GpuError:
        return []  # plans may be promoted from where no GPU is: the served plan says what is there


def check_plans(repository: Path, device: str, gpu: str | None, tensorrt: str | None) -> None:
    """Raise unless every plan that is served of a repository can run where it is delivered to.

    Args:
        repository: where the engines were built.
        device: `cpu` or `gpu`, what they are to run on.
        gpu: the name of that GPU, as nvidia-smi has it; by default this machine's.
        tensorrt: the version of TensorRT there; by default the one that is installed here.

    Raises:
        PlanError: a plan would not run there, or what is there is not known.
        EngineError: a version cannot be read.
    """
    for card in _served_plans(repository):
        if device != "gpu":
            raise PlanError(
                f"{card.name} is a TensorRT plan for {card.plan.gpu if card.plan else 'a GPU'}, "
                "and a CPU cannot run it: deliver it with --device gpu, or deliver the repository "
                "with the engines for CPUs"
            )
        target = _target(card, gpu, tensorrt)
        assert card.plan is not None
        if faults := unfit(card.plan, target):
            raise PlanError(f"{card.name} version {card.version}: {'; '.join(faults)}")


def _target(card: EngineCard, gpu: str | None, tensorrt: str | None) -> Target:
    unread = ""
    try:
        here = target_here()
    except GpuError as error:
        here, unread = Target(HERE, None, None, None), f" ({error})"
    if gpu is not None:
        target = Target("the server", gpu, None, tensorrt or here.tensorrt)
    else:
        target = Target(here.where, here.gpu, here.compute_capability, tensorrt or here.tensorrt)
    missing = [
        f"{what}, {option}"
        for what, option, known in (
            ("its GPU", "--for-gpu NAME, as nvidia-smi has it", target.gpu),
            ("its TensorRT", "--for-tensorrt VERSION", target.tensorrt),
        )
        if known is None
    ]
    if missing:
        raise PlanError(
            f"{card.name} is a TensorRT plan, and whether the server can run it is not known: what "
            f"this machine has cannot be read{unread}. Say what the server has: "
            f"{'; '.join(missing)}"
        )
    return target


def _served_plans(repository: Path) -> list[EngineCard]:
    cards = []
    for model in sorted(path.parent for path in repository.glob(f"*/{CONFIG_FILE}")):
        try:
            version = served_folder(model)
            if version is not None:
                cards.append(whole_card(version))
        except VersionError as error:
            raise EngineError(str(error)) from error
    return [card for card in cards if card.plan is not None]
