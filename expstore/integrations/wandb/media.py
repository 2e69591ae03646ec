"""What may be logged besides numbers: images, tables and histograms.

Guarantees: images become PNG files and tables CSV files below `files/media` of the experiment, by
name and step; a histogram becomes its mean, standard deviation, minimum and maximum.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from expstore.extras import require
from expstore.integrations.wandb.inert import Partial


def file_name(name: str) -> str:
    """A name as a relative path that stays where it is put."""
    parts = (re.sub(r"[^\w.=-]", "_", part).lstrip(".") for part in name.split("/"))
    return "/".join(part for part in parts if part) or "unnamed"


class Image(Partial):
    """A picture.

    Args:
        data_or_path: a file, a Pillow image, a figure of matplotlib, or an array or tensor of
            shape (height, width), (height, width, channels) or, for a tensor, (channels, height,
            width); floats are from 0 to 1, integers from 0 to 255.
        mode: Pillow's mode of the array.
        caption: is not kept.
    """

    suffix = ".png"

    def __init__(
        self, data_or_path: Any, mode: str | None = None, caption: str | None = None, **_: Any
    ) -> None:
        self._data = data_or_path
        self._mode = mode
        self.caption = caption

    def save(self, path: Path) -> None:
        """Write the picture to a file.

        Raises:
            MissingExtraError: Pillow is needed for an array, and not installed.
        """
        if isinstance(self._data, str | os.PathLike):
            source = Path(self._data)
            shutil.copyfile(source, path.with_suffix(source.suffix or self.suffix))
        elif hasattr(self._data, "savefig"):
            self._data.savefig(path)
        elif hasattr(self._data, "save") and hasattr(self._data, "getbands"):
            self._data.save(path)
        else:
            image = require("PIL.Image", "wandb").fromarray(_pixels(self._data))
            (image.convert(self._mode) if self._mode else image).save(path)


def _pixels(data: Any) -> Any:
    import numpy as np

    if hasattr(data, "detach"):  # a tensor has its channels first
        data = data.detach().cpu().numpy()
        data = np.moveaxis(data, 0, -1) if data.ndim == 3 else data
    array = np.asarray(data)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype.kind == "f":
        array = array * 255
    return array.clip(0, 255).astype(np.uint8)


class Table(Partial):
    """Rows under named columns.

    Args:
        columns: the names; default: `Input`, `Output` and `Expected`, as in wandb.
        data: rows, each as long as the columns.
        dataframe: a frame of pandas, instead of both.
    """

    suffix = ".csv"

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        data: Iterable[Sequence[Any]] | None = None,
        rows: Iterable[Sequence[Any]] | None = None,
        dataframe: Any = None,
        **_: Any,
    ) -> None:
        if dataframe is not None:
            columns, data = list(dataframe.columns), dataframe.values.tolist()
        self.columns = list(columns or ("Input", "Output", "Expected"))
        self.data: list[list[Any]] = []
        for row in data or rows or ():
            self.add_data(*row)

    def add_data(self, *row: Any) -> None:
        """Add a row.

        Raises:
            ValueError: not as long as the columns.
        """
        if len(row) != len(self.columns):
            raise ValueError(f"the table has {len(self.columns)} columns, and the row {len(row)}")
        self.data.append(list(row))

    def add_column(self, name: str, data: Sequence[Any]) -> None:
        """Add a column.

        Raises:
            ValueError: not as long as the others.
        """
        if self.data and len(data) != len(self.data):
            raise ValueError(f"the table has {len(self.data)} rows, and the column {len(data)}")
        rows = self.data or [[] for _ in data]
        self.columns = [*self.columns, name] if self.data else [name]
        self.data = [[*row, value] for row, value in zip(rows, data, strict=True)]

    def get_column(self, name: str, convert_to: str | None = None) -> Any:
        """The values of a column; as an array with `convert_to="numpy"`."""
        at = self.columns.index(name)
        values = [row[at] for row in self.data]
        if convert_to == "numpy":
            import numpy as np

            return np.array(values)
        return values

    def save(self, path: Path) -> None:
        """Write the table to a file."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            writer.writerows(self.data)


class Histogram(Partial):
    """Numbers, of which a summary is logged."""

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        import numpy as np

        if np_histogram is not None:
            counts, edges = (np.asarray(part, dtype=float) for part in np_histogram)
            middles = (edges[1:] + edges[:-1]) / 2
            self._values, self._weights = middles, counts
        else:
            values = sequence.detach().cpu() if hasattr(sequence, "detach") else sequence
            self._values = np.asarray(values, dtype=float).ravel()
            self._weights = np.ones(len(self._values))

    def numbers(self, name: str) -> dict[str, float]:
        """The mean, standard deviation, minimum and maximum; nothing if there are no numbers."""
        import numpy as np

        present = self._values[self._weights > 0]
        if not len(present):
            return {}
        mean = float(np.average(self._values, weights=self._weights))
        spread = np.average((self._values - mean) ** 2, weights=self._weights)
        return {
            f"{name}/mean": mean,
            f"{name}/std": float(np.sqrt(spread)),
            f"{name}/min": float(present.min()),
            f"{name}/max": float(present.max()),
        }
