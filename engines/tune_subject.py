"""What is tuned: the version of a model that is served, whatever it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from tokenizers import Tokenizer

from core.card import ENGINE_FILE, PLAN_FILE, TOKENIZER_FILE, EngineCard, read_card
from core.tokenizer import TextTokenizer
from core.versions import VersionError, served_folder
from engines.catalog import CATALOG, spec_of
from engines.errors import DataError, EngineError
from engines.examiner import Examiner
from engines.file_material import material_from
from engines.how_made import how_to_make
from engines.import_measure import ImportedExaminer, Texts, texts_for
from engines.material import Material
from engines.measure import Engine
from engines.model_config import CONFIG_FILE
from engines.model_name import require_name
from engines.sensitivity import Judge
from engines.tune_measure import TOKEN_IDS


@dataclass(frozen=True)
class Subject:
    """A version folder that is served, its card, and the texts that the gate asks it about."""

    card: EngineCard
    folder: Path
    texts: Material | Texts

    @property
    def name(self) -> str:
        """The model's."""
        return self.card.name

    @property
    def token_ids(self) -> int:
        """Ids below this are in its vocabulary."""
        tokenizer = Tokenizer.from_file(str(self.folder / TOKENIZER_FILE))
        return min(TOKEN_IDS, tokenizer.get_vocab_size(with_added_tokens=True))

    def judge(self, reference: Engine) -> Judge:
        """What holds engines against `reference`, as for a model of this kind."""
        tokenizer = TextTokenizer(self.folder / TOKENIZER_FILE, self.card.max_tokens)
        if isinstance(self.texts, Texts):
            return ImportedExaminer(self.card, tokenizer, reference, self.texts)
        return Examiner(self.card.output, tokenizer, reference, self.texts)


def subjects(
    names: Sequence[str] | None, repository: Path, data: Path | None = None
) -> list[Subject]:
    """The named models, or all that the repository has, with what is served of them.

    Raises:
        EngineError: a name is no model's, or its engine is not there; says what makes one.
        DataError: `data` is not what these models are measured with.
    """
    folders = [_served(name, repository) for name in names or all_models(repository)]
    return [Subject(card, folder, _texts(card, data)) for folder, card in folders]


def all_models(repository: Path) -> list[str]:
    """The models of a repository, the default ones first.

    Raises:
        EngineError: there are none.
    """
    there = {path.parent.name for path in repository.glob(f"*/{CONFIG_FILE}")}
    if not there:
        raise EngineError(
            f"no models in {repository}; name another folder with --repository, or make some with "
            "`sub50 engines build`, `import` or `finetune`"
        )
    return [name for name in CATALOG if name in there] + sorted(there - CATALOG.keys())


def _served(name: str, repository: Path) -> tuple[Path, EngineCard]:
    """The version folder that is served, and its card."""
    require_name(name, "the model")
    folder = repository / name
    if name not in CATALOG and not (folder / CONFIG_FILE).is_file():
        there = sorted(path.parent.name for path in repository.glob(f"*/{CONFIG_FILE}"))
        raise EngineError(
            f"unknown model {name}: {repository} has {', '.join(there) or 'none'}. "
            f"{how_to_make(name)}"
        )
    try:
        version = served_folder(folder)
        if version is None:
            raise EngineError(f"no engine of {name} in {folder}. {how_to_make(name)}")
        card = read_card(version)
    except VersionError as error:
        raise EngineError(str(error)) from error
    except (FileNotFoundError, ValidationError) as error:
        raise EngineError(f"{version} has no card that can be read. {how_to_make(name)}") from error
    for file in (ENGINE_FILE, TOKENIZER_FILE, *((PLAN_FILE,) if card.plan else ())):
        if not (version / file).is_file():
            raise EngineError(f"no {version / file}. {how_to_make(name, card)}")
    return version, card


def _texts(card: EngineCard, data: Path | None) -> Material | Texts:
    if card.imported is None:
        return material_from(spec_of(card), data)
    if data is not None and data.is_dir():
        raise DataError(f"--data {data} is a folder; name one file with the texts of {card.name}")
    return texts_for(tuple(card.labels), card.problem_type, data)
