"""Notes on a card the rate that a load test found of its engine on this machine."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from core.card import Capacity, EngineCard, write_card
from core.versions import VersionError, promotion_lock, what_is_wrong
from engines.engine_folder import engine_card, engine_folder
from engines.errors import EngineError
from engines.evaluated_engine import as_served
from engines.hardware import hardware
from engines.runtimes import gpu_of
from engines.tune_choose import BUDGET_MS

# An engine's calls may take half of what a request may.
PROMISE_MS = 2 * BUDGET_MS
HOW = "write it with `sub50 loadtest capacity --serve --texts KIND --json > FILE`"


class Probe(BaseModel):
    """One run of the search; of its fields those that are needed."""

    rate_per_second: float
    holds: bool
    p99_ms: float | None


class Found(BaseModel):
    """What `sub50 loadtest capacity --json` prints; of its fields those that are needed."""

    model_config = ConfigDict(frozen=True)

    host: str
    texts: str
    models: list[str]
    budget_ms: float
    rate_per_second: float
    limited_by: str
    probes: list[Probe]

    @property
    def p99_ms(self) -> float | None:
        """Of the run that held at the rate found; None where there is none."""
        held = (probe for probe in self.probes if probe.holds)
        return next((p.p99_ms for p in held if p.rate_per_second == self.rate_per_second), None)


def note_capacity(engine: str, file: Path, repository: Path) -> EngineCard:
    """Write what a load test of this machine found onto the card of the engine that it asked.

    A rate of the same texts on the same hardware is replaced. Returns the card.

    Args:
        engine: a model's name (the version that is served), `NAME@VERSION`, or a version folder.
        file: what `sub50 loadtest capacity --json` printed.
        repository: the folder with the models.

    Raises:
        EngineError: there is no such engine, or the file has no rate of it that can be noted.
    """
    folder = engine_folder(engine, repository)
    found = _read(file)
    try:
        # A tuning or a promotion writes the card, too.
        with promotion_lock(folder.parent):
            card = engine_card(folder)
            capacity = _capacity(found, card, file)
            key = (capacity.texts, capacity.hardware)
            others = [each for each in card.capacities if (each.texts, each.hardware) != key]
            noted = card.model_copy(update={"capacities": [*others, capacity]})
            write_card(noted, folder)
    except VersionError as error:
        raise EngineError(f"{error}; nothing was written") from error
    return noted


def _read(file: Path) -> Found:
    try:
        return Found.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise EngineError(
            f"{file} is not what a load test found: {what_is_wrong(error)}; {HOW}"
        ) from error


def _capacity(found: Found, card: EngineCard, file: Path) -> Capacity:
    """The rate found, checked.

    Raises:
        EngineError: there is none, or it is of another engine, machine or promise; or the engine
            runs on a GPU, and none is here.
    """
    p99_ms = found.p99_ms
    if not found.rate_per_second > 0 or p99_ms is None:
        raise EngineError(f"{file}: field 'rate_per_second': no rate held, so none can be noted")
    if card.name not in found.models:
        raise EngineError(
            f"{file}: field 'models': the texts went to {', '.join(found.models)}, not to "
            f"{card.name}"
        )
    if found.budget_ms != PROMISE_MS:
        raise EngineError(
            f"{file}: field 'budget_ms' is {found.budget_ms:g}; the promise is {PROMISE_MS:g} ms, "
            "and rates are compared by it"
        )
    if not _is_here(found.host):
        raise EngineError(
            f"{file}: field 'host' is {found.host}, and what hardware that is cannot be told from "
            f"here: on the machine that serves, {HOW}, and note it there"
        )
    way = as_served(card)
    return Capacity(
        requests_per_second=found.rate_per_second,
        p99_ms=p99_ms,
        budget_ms=found.budget_ms,
        texts=found.texts,
        models=found.models,
        limited_by=found.limited_by,
        way=way.label,
        hardware=hardware(gpu_of(way)),
        noted_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _is_here(host: str) -> bool:
    """Whether a URL is of this machine."""
    name = urlsplit(host).hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
