"""What each model of a repository is loaded with, and which engine of it.

A model whose GPU cannot be used may be served by its engine for processors: tuning to a GPU leaves
beside it what it was made from, which passed the same gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from service.triton.reasons import is_of_gpu
from service.triton.repository import (
    check_repository,
    embedded_config,
    instances_of,
    models_in,
    served_version,
    with_versions,
)


class ConfiguredModels:
    """The models of an embedded Triton, by default all of a repository.

    Attributes:
        names: theirs.
        configs: what each is loaded with, as JSON; none before `read`.
        stand_ins: why models are served by their engines for processors, where they ask for a GPU,
            by name. There are none without `may_stand_in`.
    """

    def __init__(
        self, repository: Path, names: Sequence[str] | None = None, *, may_stand_in: bool = False
    ) -> None:
        self.repository = repository
        self.names = list(names) if names is not None else models_in(repository)
        self.configs: dict[str, str] = {}
        self.stand_ins: dict[str, str] = {}
        self._may_stand_in = may_stand_in

    @property
    def instances(self) -> dict[str, int]:
        """Calls of each model that run side by side."""
        return {model: instances_of(config) for model, config in self.configs.items()}

    def read(self, within_seconds: float) -> None:
        """Read them from their files. Raises ServeError, as `check_repository` does."""
        self.stand_ins = check_repository(
            self.repository, self.names, within_seconds, may_stand_in=self._may_stand_in
        )
        self.configs = {model: self._config(model) for model in self.names}

    @property
    def versions(self) -> dict[str, str]:
        """The version of each model that is served, as its folder says."""
        return {model: self._version(model) for model in self.names}

    def of(self, versions: Mapping[str, str]) -> dict[str, str]:
        """What one version of each model named is loaded with, as JSON."""
        return {
            model: with_versions(self.configs[model], [version])
            for model, version in versions.items()
        }

    def stand_in(self, reasons: Mapping[str, str]) -> list[str]:
        """Take the engines for processors of models that could not be loaded for want of a GPU.

        Args:
            reasons: why models could not be loaded, by name.

        Returns:
            the models that are to be loaded anew for that.
        """
        if not self._may_stand_in:
            return []
        no_gpu = {
            model: reason
            for model, reason in reasons.items()
            if is_of_gpu(reason) and model not in self.stand_ins
        }
        self.stand_ins |= no_gpu
        self.configs |= {model: self._config(model) for model in no_gpu}
        return list(no_gpu)

    def _config(self, model: str) -> str:
        return embedded_config(
            self.repository / model,
            [self._version(model)],
            on_processors=model in self.stand_ins,
        )

    def _version(self, model: str) -> str:
        version = served_version(self.repository / model)
        assert version is not None  # `read` has seen it
        return version
