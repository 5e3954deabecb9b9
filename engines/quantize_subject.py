"""What `sub50 engines quantize` is asked for: a default model, a trained adapter, a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from core.card import TOKENIZER_FILE, EngineCard
from core.tokenizer import TextTokenizer
from core.versions import VersionError, served_folder
from engines import base
from engines.catalog import CATALOG, MAX_TOKENS, ModelSpec
from engines.checkpoint import read_checkpoint
from engines.checkpoint_labels import CONFIG_FILE
from engines.errors import EngineError
from engines.examiner import Examiner
from engines.file_material import material_from
from engines.hub import checkpoint_folder
from engines.import_measure import ImportedExaminer, texts_for
from engines.import_record import imported_card
from engines.importing import export_module, exported, written_tokenizer
from engines.listing import card_of
from engines.making import ingredients_of, reference_graph
from engines.measure import open_session
from engines.merge import ADAPTER_FILE, ADAPTERS, trained_labels
from engines.record import measured_card
from engines.sensitivity import Judge, Quantized
from engines.timing import TOKEN_IDS


@dataclass(frozen=True)
class Subject:
    """An unquantized graph, and all that judging its engines and writing their card takes.

    `rows` are the token ids of the texts that set scales; `token_ids` bounds those that time is
    measured with; `make_card` measures the engine file in a folder, which has its tokenizer.
    """

    name: str
    reference: onnx.ModelProto
    rows: list[list[int]]
    token_ids: int
    judge: Judge
    make_card: Callable[[Quantized, Path], EngineCard]


@dataclass(frozen=True)
class Source:
    """What the user named, under which name, and with which data."""

    source: str
    name: str | None
    data: Path | None
    repository: Path
    base_folder: Path | None = None


def subject_of(asked: Source, folder: Path) -> Subject:
    """Find what is named, read it, and write its tokenizer into `folder`.

    Raises:
        EngineError: there is no such thing, or a part of it is missing or not what it should be.
    """
    path = Path(asked.source).expanduser()
    if asked.source in CATALOG:
        if asked.name not in (None, asked.source):
            raise EngineError(f"--name {asked.name}: {asked.source} keeps its name")
        return _trained(CATALOG[asked.source], ADAPTERS, asked, folder)
    if (path / ADAPTER_FILE).is_file():
        return _trained(_adapter_spec(path, asked), path.resolve().parent, asked, folder)
    if (path / CONFIG_FILE).is_file():
        name = asked.name or path.resolve().name
        return checkpoint_subject(asked.source, name, (), asked.data, folder)
    card = _served_card(asked.repository, asked.source)
    if card is not None and card.imported is not None:
        return checkpoint_subject(card.base, card.name, tuple(card.labels), asked.data, folder)
    if card is not None:
        raise EngineError(
            f"{asked.source} was trained here; name the folder with its {ADAPTER_FILE}, and the "
            f"model with --name {asked.source}"
        )
    raise EngineError(
        f"nothing to quantize at {asked.source}: name a model ({', '.join(CATALOG)}, or one that "
        f"was imported), a folder with {ADAPTER_FILE}, or a checkpoint's folder with {CONFIG_FILE}"
    )


def _served_card(repository: Path, name: str) -> EngineCard | None:
    if len(Path(name).parts) != 1:
        return None
    try:
        version = served_folder(repository / name)
    except VersionError as error:
        raise EngineError(str(error)) from error
    return card_of(version) if version else None


def _adapter_spec(path: Path, asked: Source) -> ModelSpec:
    name = asked.name or path.resolve().name
    served = _served_card(asked.repository, name)
    return ModelSpec(
        name=name,
        description=served.description if served else f"Trained on {base.BASE_NAME}.",
        task="classify",
        output="logits",
        labels=trained_labels(path),
        adapter=path.resolve().name,
    )


def _trained(spec: ModelSpec, adapters: Path, asked: Source, folder: Path) -> Subject:
    material = material_from(spec, asked.data)
    ingredients = ingredients_of(spec, base.ensure_base(asked.base_folder), adapters)
    shutil.copyfile(ingredients.base_folder / base.TOKENIZER_FILE, folder / TOKENIZER_FILE)
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, MAX_TOKENS)
    reference = reference_graph(ingredients)
    return Subject(
        name=spec.name,
        reference=reference,
        rows=[tokens.ids for tokens in tokenizer.encode(list(material.calibration))],
        token_ids=TOKEN_IDS,
        judge=Examiner(spec.output, tokenizer, open_session(reference), material),
        make_card=lambda found, made: measured_card(
            ingredients, made, made.name, reference, material
        ),
    )


def checkpoint_subject(
    source: str, name: str, labels: tuple[str, ...], data: Path | None, folder: Path
) -> Subject:
    """A checkpoint's folder or id, to be called `name`; its tokenizer is written into `folder`.

    Raises:
        EngineError: a part of it is missing or not what it should be.
    """
    checkpoint = read_checkpoint(checkpoint_folder(source), source, labels)
    texts = texts_for(checkpoint.labels, checkpoint.problem_type, data)
    export = export_module()
    tokenizer = written_tokenizer(export, checkpoint, folder / TOKENIZER_FILE)
    rows = [tokens.ids for tokens in tokenizer.encode(texts.calibration)]
    reference, difference = exported(export, checkpoint, rows)
    return Subject(
        name=name,
        reference=reference,
        rows=rows,
        token_ids=min(TOKEN_IDS, checkpoint.vocabulary),
        judge=ImportedExaminer(checkpoint, tokenizer, open_session(reference), texts),
        make_card=lambda found, made: imported_card(
            name, checkpoint, found, made, reference, difference
        ),
    )
