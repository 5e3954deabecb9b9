"""The faults, one a module; each module lists its own in `FAULTS`."""

from __future__ import annotations

import importlib
import pkgutil

from chaos.fault import Fault


def all_faults() -> dict[str, Fault]:
    """Every fault by its name, in the order of modules."""
    found: dict[str, Fault] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        faults: tuple[Fault, ...] = importlib.import_module(f"{__name__}.{module.name}").FAULTS
        found |= {fault.name: fault for fault in faults}
    return found
