"""Scores filled rubric sheets: means by engine and criterion, and how far raters agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engines.agreement import alpha_interval, ordinal_alpha
from engines.bootstrap import ratio_interval
from engines.rubric import CRITERIA, HIGHEST, Key, read_key
from engines.rubric_read import FilledSheet, read_sheets


def score_sheets(key_path: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """Score the sheets of all raters together.

    Returns:
        What can be written as JSON: `scores` by engine and criterion (the mean over documents of
        the raters' mean, with its interval over documents), `differences` of the first engine
        from the second on the documents rated for both, `agreement` by criterion, `raters`,
        `missing` fields, and all `comments`.

    Raises:
        DataError: the key or a sheet is not one, or fields are wrong; names all of them.
    """
    key = read_key(key_path)
    sheets = read_sheets(paths, key)
    names = [engine.name for engine in key.engines]
    means = {each: _document_means(key, sheets, each) for each in CRITERIA}
    return {
        "engines": [engine.model_dump() for engine in key.engines],
        "data": key.data,
        "length": key.length,
        "documents": len({item.row for item in key.items.values()}),
        "items": len(key.items),
        "scores": {name: {each: _score(means[each][name]) for each in CRITERIA} for name in names},
        "differences": (
            {each: _difference(means[each], names[0], names[1]) for each in CRITERIA}
            if len(names) == 2
            else None
        ),
        "agreement": {each: _agreement(key, sheets, each) for each in CRITERIA},
        "raters": [_rater(sheet) for sheet in sheets],
        "missing": [asdict(field) for sheet in sheets for field in sheet.missing],
        "comments": [
            {
                "rater": sheet.rater,
                "item": item,
                "engines": list(key.items[item].engines),
                "document": key.items[item].document,
                "comment": comment,
            }
            for sheet in sheets
            for item, comment in sheet.comments.items()
        ],
    }


# By engine, then by document.
Means = dict[str, dict[int, float]]


def _document_means(key: Key, sheets: Sequence[FilledSheet], criterion: str) -> Means:
    """The raters' mean for each document of each engine; documents nobody rated are left out."""
    result: Means = defaultdict(dict)
    for name, item in key.items.items():
        given = _ratings(sheets, name, criterion)
        if given:
            for engine in item.engines:
                result[engine][item.row] = float(np.mean(given))
    return result


def _ratings(sheets: Sequence[FilledSheet], item: str, criterion: str) -> list[int]:
    return [s.ratings[item, criterion] for s in sheets if (item, criterion) in s.ratings]


def _score(means: dict[int, float]) -> dict[str, Any]:
    values = list(means.values())
    return {
        "mean": float(np.mean(values)) if values else None,
        "interval": ratio_interval(values) if values else None,
        "documents": len(values),
    }


def _difference(means: Means, first: str, second: str) -> dict[str, Any]:
    both = [row for row in means[first] if row in means[second]]
    return _score({row: means[first][row] - means[second][row] for row in both})


def _agreement(key: Key, sheets: Sequence[FilledSheet], criterion: str) -> dict[str, Any]:
    units = [_ratings(sheets, item, criterion) for item in key.items]
    several = [unit for unit in units if len(unit) > 1]
    alpha = ordinal_alpha(units, HIGHEST)
    why = None
    if not several:
        why = "no summary was rated by two people"
    elif alpha is None:
        why = "all ratings are the same"
    return {
        "alpha": alpha,
        "interval": alpha_interval(units, HIGHEST),
        "items_rated_twice": len(several),
        "why_none": why,
    }


def _rater(sheet: FilledSheet) -> dict[str, Any]:
    by_criterion = {
        each: [value for (_, criterion), value in sheet.ratings.items() if criterion == each]
        for each in CRITERIA
    }
    return {
        "name": sheet.rater,
        "ratings": len(sheet.ratings),
        "means": {each: float(np.mean(v)) if v else None for each, v in by_criterion.items()},
    }
