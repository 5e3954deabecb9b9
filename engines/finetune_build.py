"""From a fine-tuned adapter to its engine: the team's own texts calibrate and judge it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.card import EngineCard
from core.versions import versions_of
from engines.build_trained import Trained, build_trained, make_candidate
from engines.checksums import file_sha256
from engines.dataset import Dataset
from engines.dataset_files import TEST, VALIDATION
from engines.listing import card_of
from engines.material import PROBE_TEXTS, PROBE_TEXTS_OF_A_DATA_SET, Material, sample
from engines.merge import ADAPTER_FILE
from engines.texts import probe_texts

CALIBRATION_TEXTS = 96
# Of fewer, one more wrong answer is half a point and two are more than the gate allows.
LEAST_JUDGED = 200


def build_finetuned(
    trained: Trained, material: Callable[[], Material], repository: Path, base: Path
) -> tuple[EngineCard, Path]:
    """Make the engine: a new model of the repository, or beside the adapter for one that is there.

    A version that was made of this adapter before is left as it is.

    Returns:
        Its card and its version folder.

    Raises:
        EngineError: see `make_candidate`; the repository is as it was.
    """
    versions = versions_of(repository / trained.name)
    adapter = file_sha256(trained.folder / ADAPTER_FILE)
    for folder in [*reversed(versions), *versions_of(trained.folder)]:
        card = card_of(folder)
        if card and card.adapter_sha256 == adapter:
            return card, folder
    if not versions:
        card = build_trained(trained, repository, material(), base)
        return card, repository / trained.name / card.version
    following = trained.folder / str(1 + int(versions[-1].name))
    return make_candidate(trained, following, material(), base), following


def material_of(dataset: Dataset) -> Material:
    """Training texts to calibrate with, the others to judge with, and ours where those are few."""
    judged = [item.text for item in (*dataset.validation, *dataset.test)]
    probes = sample(judged, PROBE_TEXTS_OF_A_DATA_SET)
    labelled = {VALIDATION: dataset.validation, TEST: dataset.test}
    return Material(
        calibration=sample([item.text for item in dataset.train], CALIBRATION_TEXTS),
        probes=probes + probe_texts(max(0, PROBE_TEXTS - len(probes))),
        labelled={name: items for name, items in labelled.items() if len(items) >= LEAST_JUDGED},
    )
