"""Parameters as other tools write them: texts, and YAML and JSON files beside the metrics.

Guarantees: a text becomes a number, a truth value or null only if that is written exactly so again,
so that no digit of an id is lost. Of YAML, only texts, lists and maps are read, without aliases, so
that nothing expands and no code runs. What JSON cannot hold is left out and counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from expstore.errors import ImportSourceError, MissingExtraError, RunFileError
from expstore.exchange.sources.base import brief, reading_file
from expstore.exchange.sources.files import is_regular, read_document, read_json
from expstore.extras import require
from expstore.model.paramcolumns import PARAM
from expstore.model.params import as_params
from expstore.model.runinfo import Outcome, RunInfo, RunStart
from expstore.model.table import MetricTable
from expstore.model.texts import unescape

PARAMS = "parameters that do not fit"
"""What `left_out` counts if parameters are too large, or of a kind that JSON does not have."""

_YAML_LIMIT = 1 << 20  # bytes of a YAML file; those of trainers have some thousands
_SIZE = 4 << 20  # characters of all parameters together
_TAG = "tag:yaml.org,2002:"
_WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
_BESIDE = ("hparams.yaml", "args.yaml", "params.json")


def value_of(text: str) -> Any:
    """The number, truth value or null that a program has written as this text; else the text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] in "+-.0123456789ni" and len(text) < 40:
        for kind in (int, float):
            try:
                number = kind(text)
            except ValueError:
                continue
            if str(number) == text and abs(number) < float("inf"):
                return number
    return text


def typed(value: Any) -> Any:
    """The same, for every text in lists and maps."""
    if isinstance(value, str):
        return value_of(value)
    if isinstance(value, Mapping):
        return {str(key): typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else value


def exported_info(row: Mapping[str, Any], table: MetricTable) -> RunInfo:
    """The parameters, tags and status in a row of an exported table.

    Args:
        row: its cells by column.
        table: the run's metrics, between the first and last of which it ran.
    """
    params = {
        unescape(name.removeprefix(PARAM)): value_of(cell) if isinstance(cell, str) else cell
        for name, cell in row.items()
        if name.startswith(PARAM) and cell not in (None, "")
    }
    tags = tuple(filter(None, str(row.get("tags") or "").split(", ")))
    starts: tuple[RunStart, ...] = ()
    outcome = next((one for one in get_args(Outcome) if one == row.get("status")), None)
    if outcome and len(table):
        first, last = float(table.timestamps.min()), float(table.timestamps.max())
        starts = (RunStart(first, last, outcome),)
    return RunInfo(params=params, tags=tags, starts=starts)


def fitting(params: Mapping[str, Any], left_out: Counter[str]) -> dict[str, Any]:
    """The parameters that JSON can hold and that are not too large; the others are counted."""
    kept: dict[str, Any] = {}
    size = 0
    for name, value in params.items():
        try:
            made = as_params({name: value})
            size += len(json.dumps(made))
        except (RunFileError, ValueError, RecursionError):
            left_out[PARAMS] += 1
            continue
        if size > _SIZE:
            left_out[PARAMS] += 1
        else:
            kept |= made
    return kept


def params_beside(directory: Path, notes: list[str]) -> dict[str, Any]:
    """The parameters in Lightning's hparams.yaml, ultralytics' args.yaml or Ray's params.json.

    A file that cannot be read is reported in `notes`, and keeps no metric out.
    """
    found: Any = {}
    for name in _BESIDE:
        path = directory / name
        if not is_regular(path):
            continue
        try:
            found = read_json(path, _YAML_LIMIT) if path.suffix == ".json" else read_yaml(path)
        except (ImportSourceError, MissingExtraError) as error:
            notes.append(f"the parameters were left out: {error}")
        break
    return typed(found) if isinstance(found, dict) else {}


def read_yaml(path: Path) -> Any:
    """The texts, lists and maps in a YAML file; all else, such as a date, is a text.

    Raises:
        MissingExtraError: the extra `mlflow`, which brings PyYAML, is not installed.
        ImportSourceError: it is not YAML, has an alias or a tag, or is too large.
    """
    yaml = require("yaml", "mlflow")
    data = read_document(path, _YAML_LIMIT)
    with reading_file(path):
        try:
            return yaml.load(data, _loader(yaml))
        except yaml.YAMLError as error:
            raise ImportSourceError(f"{path}: not YAML: {brief(error)}") from error


def _loader(yaml: Any) -> Any:
    """A loader of plain data: texts, nulls, lists and maps."""
    safe = yaml.SafeLoader
    null = f"{_TAG}null"

    class PlainLoader(safe):  # type: ignore[misc, valid-type]
        """A loader that refuses aliases and all other tags."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.composer.ComposerError(
                    None, None, "has an alias, which is not read", None
                )
            return super().compose_node(parent, index)

    PlainLoader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag == null]
        for first, known in safe.yaml_implicit_resolvers.items()
    }
    PlainLoader.yaml_constructors = {
        tag: safe.yaml_constructors[tag]
        for tag in (None, null, *(f"{_TAG}{kind}" for kind in ("str", "seq", "map")))
    }
    return PlainLoader
