"""`sub50 engines rubric sheet` and `score`: people rate summaries, and how far they agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from engines.commands import DEFAULT_REPOSITORY, AsJson, Repository, carry_out, print_json

Engine = Annotated[
    str, typer.Argument(help="A summarizer: NAME, NAME@VERSION or a version folder.")
]
PAGE = "rubric.html"
RESULT = "rubric.json"


def add_rubric(app: typer.Typer) -> None:
    """Add the two commands as a group of their own."""
    rubric = typer.Typer(help="Have people rate summaries, and score it.", no_args_is_help=True)
    rubric.command("sheet")(sheet)
    rubric.command("score")(score)
    app.add_typer(rubric, name="rubric")


def sheet(
    engine: Engine,
    data: Annotated[Path, typer.Option(help="Documents: JSON lines with text, gzipped or not.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist.")],
    against: Annotated[str | None, typer.Option(help="A second summarizer, mixed in.")] = None,
    documents: Annotated[int, typer.Option(min=1, help="How many to have rated.")] = 20,
    sentences: Annotated[int | None, typer.Option(min=1, help="At most, of a summary.")] = None,
    words: Annotated[int | None, typer.Option(min=1, help="At most, of a summary.")] = None,
    ratio: Annotated[
        float | None, typer.Option(min=0.001, max=1, help="At most this share of the sentences.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which documents, and the order.")] = 50,
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: AsJson = False,
) -> None:
    """Write summaries of one or two engines, blinded, for people to rate from 1 to 5."""

    def write() -> dict[str, Any]:
        from engines.engine_folder import engine_folder
        from engines.rubric_sheet import Length, Sheet, write_sheet

        engines = tuple(engine_folder(name, repository) for name in (engine, against) if name)
        length = Length(sentences, words, ratio)
        key = write_sheet(Sheet(engines, data, documents, length, out, seed))
        return {"out": str(out), **key.model_dump(mode="json")}

    result = carry_out(write)
    if as_json:
        print_json(result)
        return
    from engines.rubric_sheet import FOR_RATERS, KEY_FILE

    Console(stderr=True, soft_wrap=True).print(
        f"{len(result['items'])} summaries to rate. Give each rater a copy of {out / FOR_RATERS}; "
        f"keep {out / KEY_FILE} to yourself, and score with `sub50 engines rubric score "
        f"{out / KEY_FILE} sheet-anna.csv sheet-ben.csv`.",
        markup=False,
        highlight=False,
    )


def score(
    key: Annotated[Path, typer.Argument(help="key.json of the sheet.")],
    sheets: Annotated[list[Path], typer.Argument(help="The filled sheets, one of each rater.")],
    report: Annotated[
        Path | None, typer.Option(help="Folder for rubric.html and rubric.json.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score filled sheets: means with intervals, and how far the raters agree."""

    def run() -> dict[str, Any]:
        from engines.rubric_score import score_sheets

        result = score_sheets(key, sheets)
        if report:
            _write_report(report, result)
        return result

    result = carry_out(run)
    if as_json:
        print_json(result)
        return
    from engines.rubric_report import rubric_banner, rubric_table

    console = Console(soft_wrap=True, highlight=False)
    Console().print(rubric_table(result))
    for reason in rubric_banner(result).reasons:
        console.print(reason, markup=False)
    for field in result["missing"]:
        place = f"row {field['row']}" if field["row"] else "no row"
        line = f"not filled in: {field['file']}, {place}, item {field['item']}, {field['column']}"
        Console(stderr=True, soft_wrap=True).print(line, markup=False, highlight=False)


def _write_report(folder: Path, result: dict[str, Any]) -> None:
    import json

    from engines.html_report import write_page
    from engines.rubric_report import rubric_banner, rubric_sections

    names = " and ".join(engine["name"] for engine in result["engines"])
    write_page(
        folder / PAGE,
        f"Summaries of {names}, rated",
        rubric_banner(result),
        rubric_sections(result),
    )
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (folder / RESULT).write_text(text, encoding="utf-8")
