"""One run of TensorBoard: the scalars and parameters in the event files of a directory.

Guarantees: scalars of TensorFlow 1 and 2, PyTorch and tensorboardX are read, and all else is
counted by kind. Where a run was resumed, the points that it went back before are dropped, as
TensorBoard does. No shape in a file is believed.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import (
    BAD,
    Reading,
    brief,
    check_name,
    check_point,
    reading_file,
)
from expstore.exchange.sources.eventfile import records
from expstore.extras import require
from expstore.model.runinfo import Outcome
from expstore.model.table import MetricTable
from expstore.model.texts import unescape

OURS = ".expstore"
"""How the names of event files end that `export` has written."""

_NUMBERS = (  # the types of a scalar
    *("DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16", "DT_BOOL"),
    *("DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64", "DT_UINT8", "DT_UINT16"),
)
_KINDS = {"images": "images", "histograms": "histograms", "text": "texts", "audio": "audio clips"}
_KINDS |= {"image": "images", "histo": "histograms", "pr_curves": "curves", "graphs": "graphs"}
_HPARAMS = "hparams"
_OUTCOMES: dict[int, Outcome] = {1: "finished", 2: "failed"}  # of hparams' session


@dataclass
class _Naming:
    """What the metrics of a file are called."""

    path: Path
    names: Mapping[str, str]
    prefix: str

    @property
    def ours(self) -> bool:
        """Whether `export` has written the file, and so has escaped what no protobuf text holds."""
        return self.path.name.endswith(OURS)

    def name(self, tag: str) -> str:
        """The metric of a tag."""
        return self.names.get(tag) or self.prefix + (unescape(tag) if self.ours else tag)


class EventRun:
    """Gathers event files, in the order of time.

    Args:
        directory: for messages.
        reading: how they are to be read.

    Attributes:
        params: what the hparams plugin says.
        outcome: how the session ended, if it says so.
        left_out, notes: what a ForeignRun says.
    """

    def __init__(self, directory: Path, reading: Reading) -> None:
        self._event = require("tensorboard.compat.proto.event_pb2", "tensorboard").Event
        self._session = require("tensorboard.compat.proto.event_pb2", "tensorboard").SessionLog
        self._decode_error = require("google.protobuf.message", "tensorboard").DecodeError
        self._directory = directory
        self._reading = reading
        self._plugins: dict[str, str] = {}  # by tag; only a tag's first value has to name it
        self._metrics: dict[str, int] = {}  # codes by name
        self._codes = array("i")
        self._values = array("d")
        self._steps = array("q")
        self._times = array("d")
        self._offsets = array("q")  # of the events, in their files
        # Of the points from one number to another: from which step on they are superseded, and of
        # which metric; -1: of all.
        self._purges: list[tuple[int, int, int, int]] = []
        self.begin_directory()
        self._bad = 0
        self.params: dict[str, Any] = {}
        self.outcome: Outcome | None = None
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []

    def begin_directory(self) -> None:
        """The files that follow are in another directory; their restarts are their own."""
        self._first = len(self._codes)
        self._versioned = False
        self._last = 0  # step of the last event, where no file names a version

    def read(self, path: Path, names: Mapping[str, str] | None = None, prefix: str = "") -> int:
        """Add a file; returns the number of its scalars.

        Args:
            path: the file.
            names: what to call the metrics of these tags.
            prefix: put before the names of the others.

        Raises:
            ImportSourceError: a value that a store cannot hold, unless these are skipped.
        """
        before, ended = len(self._codes), 0
        naming = _Naming(path, names or {}, prefix)
        codes: dict[str, int] = {}
        parse = self._event.FromString
        with reading_file(path):
            for end, data in records(path):
                try:
                    event = parse(data)
                except self._decode_error:
                    break
                values = event.summary.value
                if values:
                    if not self._versioned:
                        self._check_order(event.step, values, naming)
                    self._add(values, event.wall_time, event.step, ended, codes, naming)
                else:
                    self._control(event)
                ended = end
            if ended != path.stat().st_size:
                self.notes.append(
                    f"{path.name} is torn or damaged from byte {ended}; the rest was left out"
                )
        self._check_numbers(path, before)
        count = len(self._codes) - before
        self._reading.advance(count)
        return count

    def _add(
        self,
        values: Any,
        wall_time: float,
        step: int,
        offset: int,
        codes: dict[str, int],
        naming: _Naming,
    ) -> None:
        for value in values:
            tag = value.tag
            # A zero is not told from no value here, and rare.
            number = value.simple_value or self._scalar(value, tag, naming, offset)
            if number is None:
                continue
            code = codes.get(tag)
            if code is None:
                code = codes[tag] = self._code(tag, naming, offset)
            self._codes.append(code)
            self._values.append(number)
            self._steps.append(step)
            self._times.append(wall_time)
            self._offsets.append(offset)

    def _code(self, tag: str, naming: _Naming, offset: int) -> int:
        """The code of a tag's metric; -1 if it cannot be one, and bad values are skipped."""
        name = naming.name(tag)
        try:
            check_name(f"{naming.path}: event at byte {offset}", name, naming.ours)
        except ImportSourceError as error:
            self._reading.refuse(error)
            return -1
        return self._metrics.setdefault(name, len(self._metrics))

    def _check_numbers(self, path: Path, first: int) -> None:
        """Refuse points of the last file that a store cannot hold, or leave them out."""
        import numpy as np

        codes = np.array(self._codes[first:], np.int32)
        steps = np.array(self._steps[first:], np.int64)
        times = np.array(self._times[first:], np.float64)
        # The widest range; what is wrong in it is told by the exact check below.
        good = (codes >= 0) & (steps >= 0) & (steps < 1 << 32) & (times >= 0) & (times < 1 << 36)
        for row in np.flatnonzero(~good).tolist():
            number = first + row
            try:
                if codes[row] < 0:
                    continue
                check_point(
                    f"{path}: event at byte {self._offsets[number]}",
                    list(self._metrics)[codes[row]],
                    int(steps[row]),
                    float(times[row]),
                )
                good[row] = True
            except ImportSourceError as error:
                self._reading.refuse(error)
        if good.all():
            return
        self._bad += int((~good).sum())
        for column in (self._codes, self._values, self._steps, self._times, self._offsets):
            kept = np.array(column[first:])[good]
            del column[first:]
            column.frombytes(kept.tobytes())

    def _control(self, event: Any) -> None:
        """An event without scalars."""
        kind = event.WhichOneof("what")
        if not self._versioned:
            self._last = event.step
        if kind == "session_log":
            if event.session_log.status == self._session.START and self._versioned:
                self._purges.append((self._first, len(self._codes), event.step, -1))
        elif kind == "file_version":
            self._versioned = event.file_version not in ("", "brain.Event:1")
        elif kind in ("graph_def", "meta_graph_def"):
            self.left_out["graphs"] += 1

    def _check_order(self, step: int, values: Any, naming: _Naming) -> None:
        """As TensorBoard does with files of old versions: steps that go back are a restart."""
        if step >= self._last:
            self._last = step
            return
        for value in values:
            code = self._metrics.get(naming.name(value.tag))
            if code is not None:
                self._purges.append((self._first, len(self._codes), step, code))

    def _scalar(self, value: Any, tag: str, naming: _Naming, offset: int) -> float | None:
        """The value if it is a scalar, else None; TensorFlow 2 writes scalars as marked tensors."""
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            return float(value.simple_value)
        plugin = self._plugins.get(tag)
        if plugin is None:
            plugin = value.metadata.plugin_data.plugin_name
            if plugin:
                self._plugins[tag] = plugin
        if plugin == _HPARAMS:
            self._add_hparams(value.metadata.plugin_data.content)
            return None
        if kind == "tensor" and plugin == "scalars":
            try:
                number = _number(value.tensor)
            except (ValueError, TypeError) as error:
                fault = f"{naming.path}: event at byte {offset}: tag {tag!r}: {brief(error)}"
                self._reading.refuse(ImportSourceError(fault))
                self._bad += 1
                return None
            if number is not None:
                return number
        if kind is not None:
            self.left_out[_KINDS.get(plugin or kind, plugin or "other values")] += 1
        return None

    def _add_hparams(self, content: bytes) -> None:
        protos = require("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard")
        try:
            data = protos.HParamsPluginData.FromString(content)
        except self._decode_error:
            self.left_out["parameters that cannot be read"] += 1
            return
        for name, value in data.session_start_info.hparams.items():
            kind = value.WhichOneof("kind")
            if kind in ("number_value", "string_value", "bool_value"):
                found = getattr(value, kind)
                whole = isinstance(found, float) and found.is_integer() and abs(found) < 2**53
                self.params[name] = int(found) if whole else found
        if data.HasField("session_end_info"):
            self.outcome = _OUTCOMES.get(data.session_end_info.status)

    def table(self) -> MetricTable:
        """All points that no restart has superseded, in the order of the files."""
        import numpy as np

        if self._bad:
            self.left_out[BAD] = self._bad
        table = MetricTable(
            tuple(self._metrics),
            np.array(self._codes, np.int32),
            np.array(self._values, np.float64),
            np.array(self._steps, np.uint32),
            np.floor(np.array(self._times, np.float64)).astype(np.int64),
        )
        alive = np.ones(len(table), np.bool_)
        for first, end, step, code in self._purges:
            part = slice(first, end)
            superseded = table.steps[part] >= max(step, 0)
            if code >= 0:
                superseded &= np.array(self._codes[part], np.int32) == code
            alive[part] &= ~superseded
        if alive.all():
            return table
        self.left_out["points superseded by a restart"] += len(table) - int(alive.sum())
        return table.take(alive)


def _number(tensor: Any) -> float | None:
    """The number in a tensor of one; None if it has another shape, or holds something else."""
    if tensor.dtype == 1 and len(tensor.float_val) == 1 and not tensor.tensor_shape.dim:
        return float(tensor.float_val[0])
    types = require("tensorboard.compat.proto.types_pb2", "tensorboard")
    tensors = require("tensorboard.util.tensor_util", "tensorboard")
    # Before it is made: a shape may promise any number of values, and a text or a complex number is
    # not a scalar.
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if math.prod(shape) != 1 or tensor.dtype not in map(types.DataType.Value, _NUMBERS):
        return None
    return float(tensors.make_ndarray(tensor).item())
