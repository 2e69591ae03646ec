"""JSON documents with the history of one run: Hugging Face's trainer_state.json, and Keras'.

Keras' history is what scripts make of `History.history`: for each metric, a list, or a map by
epoch. Neither has times, so that all points have that of the file. Of the checkpoints of one
training, the last has the history of all, and only it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import ForeignRun, Reading, Runs
from expstore.exchange.sources.files import DOCUMENT, files_below, first_bytes, read_json
from expstore.exchange.sources.grid import Grid, run_of
from expstore.exchange.sources.jsonlines import flat

STATE = "trainer_state.json"
_STATE_PARAMS = (
    *("num_train_epochs", "max_steps", "train_batch_size", "logging_steps", "eval_steps"),
    *("save_steps", "trial_name", "trial_params"),
)


class TrainerState:
    """Hugging Face's trainer_state.json, or a directory with some."""

    def recognise(self, path: Path) -> bool:
        """See `Source`."""
        if path.is_dir():
            return bool(files_below(path, lambda name: name == STATE))
        return path.suffix == ".json" and (
            path.name == STATE or b'"log_history"' in first_bytes(path, 1 << 16)
        )

    def runs(self, path: Path, reading: Reading) -> Runs:
        """See `Source`."""
        files = [path]
        if path.is_dir():
            files = self._last(files_below(path, lambda name: name == STATE), reading)
        if not files:
            raise ImportSourceError(f"{path}: no {STATE} found")
        for file in files:
            folder = _training(file)
            name = folder.resolve().name
            if path.is_dir() and folder != path and path in folder.parents:
                name = str(folder.relative_to(path))
            yield reading.attempt(name, lambda f=file, n=name: self._read(f, n, reading))  # type: ignore[misc]

    def _last(self, files: list[Path], reading: Reading) -> list[Path]:
        """The file of each training that has the most."""
        found: dict[Path, list[Path]] = {}
        for file in files:
            found.setdefault(_training(file), []).append(file)
        reading.left_out["older checkpoints"] += len(files) - len(found)
        return [max(some, key=_checkpoint) for some in found.values()]

    def _read(self, file: Path, name: str, reading: Reading) -> ForeignRun:
        state = read_json(file)
        history = state.get("log_history") if isinstance(state, dict) else None
        if not isinstance(history, list):
            raise ImportSourceError(f"{file}: no log_history, so not a {STATE}")
        grid = Grid(str(file), reading)
        for entry in history:
            if not isinstance(entry, dict):
                raise ImportSourceError(f"{file}: an entry of log_history is not an object")
            grid.add(flat(entry))
        params = {key: state[key] for key in _STATE_PARAMS if state.get(key) is not None}
        return run_of(grid, name, file, params)


def _training(file: Path) -> Path:
    folder = file.parent
    return folder.parent if folder.name.startswith("checkpoint-") else folder


def _checkpoint(file: Path) -> tuple[bool, int]:
    """Orders the files of one training; the one beside the checkpoints is the last."""
    name = file.parent.name
    digits = name.removeprefix("checkpoint-")
    inner = name.startswith("checkpoint-")
    return not inner, int(digits) if inner and digits.isdecimal() and len(digits) < 20 else 0


class KerasHistory:
    """A JSON document of `History.history`: names, each with one value per epoch."""

    def recognise(self, path: Path) -> bool:
        """See `Source`."""
        if path.is_dir() or path.suffix != ".json" or path.stat().st_size > DOCUMENT:
            return False
        try:
            return bool(_histories(read_json(path)))
        except ImportSourceError:
            return False

    def runs(self, path: Path, reading: Reading) -> Runs:
        """See `Source`."""
        found = _histories(read_json(path))
        if not found:
            raise ImportSourceError(f"{path}: no history: lists of one value per epoch")
        name = path.stem
        yield reading.attempt(name, lambda: self._read(path, name, found, reading))

    def _read(
        self, path: Path, name: str, found: Mapping[str, dict[int, Any]], reading: Reading
    ) -> ForeignRun:
        epochs = found.get("epoch", {})
        grid = Grid(str(path), reading)
        metrics = {key: values for key, values in found.items() if key != "epoch"}
        for row in sorted({row for values in metrics.values() for row in values}):
            cells = {key: values[row] for key, values in metrics.items() if row in values}
            grid.add({"epoch": epochs.get(row, row)} | flat(cells))
        return run_of(grid, name, path)


def _histories(document: Any) -> dict[str, dict[int, Any]]:
    """The values of each name by epoch; empty if it is something else."""
    if isinstance(document, dict) and isinstance(document.get("history"), dict):
        document = document["history"]
    if not isinstance(document, dict) or not document:
        return {}
    found: dict[str, dict[int, Any]] = {}
    for key, values in document.items():
        if isinstance(values, list):
            found[str(key)] = dict(enumerate(values))
        elif isinstance(values, dict) and all(str(row).isdecimal() for row in values):
            found[str(key)] = {int(str(row)[:18]): value for row, value in values.items()}
        else:
            return {}
    numbers = [value for values in found.values() for value in values.values()]
    plain = all(isinstance(value, int | float | str | None) for value in numbers)
    return found if plain and any(isinstance(value, float) for value in numbers) else {}


def _ends(path: Path) -> bytes:
    return first_bytes(path, 1 << 16)
