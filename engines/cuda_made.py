"""`--runtime cuda` of the commands that make engines: made as ever, and run by this GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from core.card import EngineCard
from engines.cuda import require_cuda
from engines.engine_folder import engine_card, engine_folder
from engines.runtimes import CUDA
from engines.tune_choice import Choice
from engines.tune_command import run_tune


def made_for_cuda(
    make: Callable[[], Sequence[EngineCard]],
    repository: Path,
    base_folder: Path | None = None,
    data: Path | None = None,
) -> list[EngineCard]:
    """Make engines, and have them served from this machine's GPU; returns their cards.

    What is made runs on processors. The graph for the GPU is made beside it, passes the gate there
    and is measured, as `sub50 engines tune --runtime cuda` does; where that fails, what was made
    stays, and is what is served.

    Args:
        make: makes them in the repository.
        repository: where they are.
        base_folder: folder of the base encoder; None fetches it into a cache.
        data: labelled data, to hold accuracy to the gate too.

    Raises:
        EngineError: there is no GPU that could run them, and nothing was made; or making them
            failed, or the gate refused all that the GPU answers.
    """
    require_cuda()
    names = [card.name for card in make()]
    run_tune(names, repository, Choice(runtime=CUDA, base_folder=base_folder, data=data), None)
    return [engine_card(engine_folder(name, repository)) for name in names]
