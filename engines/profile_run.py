"""One run of `sub50 engines profile`: what was asked, what it writes, and what it says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from core.card import EngineCard
from engines.base import ensure_base
from engines.commands import table_console
from engines.engine_folder import engine_card, engine_folder
from engines.errors import EngineError
from engines.profile_advice import advice_of
from engines.profile_engine import EngineAsked, profile_engine
from engines.profile_record import Profiling
from engines.profile_table import headline, terminal_lines, terminal_tables
from engines.profile_texts import OUR_TEXTS, read_texts
from engines.recipe import Recipe
from engines.report_place import require_packages, require_place
from engines.step_bar import StepBar, step_bar
from engines.texts import SENTENCES
from engines.training_side import needing

PAGES = Path("runs") / "profile"
CALLS, STEPS = 50, 4


@dataclass(frozen=True)
class Asked:
    """The options of the command; None where the user named none."""

    engine: str
    version: str | None = None
    batch: int | None = None
    tokens: int | None = None
    texts: Path | None = None
    runs: int | None = None
    training: bool = False
    threads: int = 0
    base: Path | None = None
    html: Path | None = None


def run_profile(asked: Asked, repository: Path) -> dict[str, Any]:
    """Profile an engine or its training, show tables, write the page; returns the profile as JSON.

    Raises:
        EngineError: the engine, the texts or the page's place cannot be used, or what it takes is
            not installed.
    """
    name = asked.engine if asked.version is None else f"{asked.engine}@{asked.version}"
    folder = engine_folder(name, repository)
    card = engine_card(folder)
    page = _page(asked, card)
    console = table_console()
    with step_bar(console) as bar:
        found = _training(asked, card, bar) if asked.training else _engine(asked, folder, bar)
    advised = found.profile.model_copy(update={"advice": advice_of(found.profile)})
    found = replace(found, profile=advised)
    _say(console, [headline(advised)])
    for table in terminal_tables(advised):
        console.print(table)
    lines = terminal_lines(advised)
    if page is None:
        lines.append("No page: `pip install 'sub50[evaluate]'` brings what it is made with.")
    else:
        _write(page, found)
        lines.append(f"Written: {page}")
    _say(console, lines)
    return advised.model_dump(mode="json")


def _say(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _page(asked: Asked, card: EngineCard) -> Path | None:
    """Where the page goes; None where none was asked for and none can be made."""
    if asked.html is None and find_spec("jinja2") is None:
        return None
    require_packages("jinja2")
    kind = "-training" if asked.training else ""
    page = asked.html or PAGES / f"{card.name}-{card.version}{kind}.html"
    if page.is_dir():
        raise EngineError(f"--html {page} is a folder; name a file")
    require_place("--html", page.parent)
    return page


def _engine(asked: Asked, folder: Path, bar: StepBar) -> Profiling:
    if asked.texts is not None and asked.tokens is not None:
        raise EngineError("--texts have lengths of their own: leave out --tokens, or --texts")
    default = EngineAsked()
    wanted = EngineAsked(
        batch=asked.batch or default.batch,
        tokens=asked.tokens or default.tokens,
        texts=asked.texts,
        calls=asked.runs or CALLS,
    )
    bar.begin(f"calls of {folder.parent.name}", wanted.calls)
    return profile_engine(folder, wanted, bar.advance)


def _training(asked: Asked, card: EngineCard, bar: StepBar) -> Profiling:
    if asked.batch is not None or asked.tokens is not None:
        raise EngineError(
            "--batch and --tokens are for calls of an engine; of a training its recipe says how "
            "many tokens a batch has"
        )
    recipe = _recipe(card)
    texts = read_texts(asked.texts) if asked.texts else list(SENTENCES)
    # It would tell on standard error when it starts and stops.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with needing("--training", "PyTorch", others="Profiling an engine"):
        from engines.network import use_threads
        from engines.profile_training import PASSES, Training, profile_training
    use_threads(asked.threads)
    training = Training(
        card.name, card.version, tuple(card.labels), recipe, ensure_base(asked.base)
    )
    bar.begin(f"passes over the texts of {card.name}", PASSES)
    source = str(asked.texts) if asked.texts else OUR_TEXTS
    return profile_training(training, texts, source, asked.runs or STEPS, bar.advance)


def _recipe(card: EngineCard) -> Recipe:
    """How the engine's adapter was trained, but for what ends a training early.

    Raises:
        EngineError: it was not trained here.
    """
    trained = (card.training or {}).get("recipe")
    known = {field.name for field in fields(Recipe)}
    if not isinstance(trained, dict) or not {"epochs", "max_tokens"} <= set(trained) <= known:
        raise EngineError(
            f"{card.name} {card.version} has no adapter that was trained here: --training is for "
            "sentiment, topics, contracts, and what `sub50 engines finetune` made"
        )
    return replace(Recipe(**trained), patience=0)


def _write(page: Path, found: Profiling) -> None:
    from engines.html_report import write_page
    from engines.profile_page import banner, sections

    profile = found.profile
    what = "training of " if profile.what == "step" else ""
    title = f"Where the time of {what}{profile.title} goes"
    try:
        write_page(page, title, banner(profile), sections(found))
    except OSError as error:
        raise EngineError(f"--html {page} cannot be written: {error.strerror}") from error
