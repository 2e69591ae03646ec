"""An export to an open file is in the file when it returns."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from expstore import ExperimentStore
from expstore.exchange.export import FileFormat, export_file


@pytest.mark.parametrize("to", get_args(FileFormat))
def test_open_file_is_flushed_and_left_open(
    to: FileFormat, store: ExperimentStore, tmp_path: Path
) -> None:
    """Others read it by its path, before the caller closes it."""
    store.create_experiment("abc")
    store.log_metric("abc", "loss", 0.5, 1)
    export_file(store, None, tmp_path / "expected", to)
    path = tmp_path / "given"
    with path.open("wb", buffering=1 << 20) as file:
        export_file(store, None, file, to)
        assert path.stat().st_size == file.tell() > 0
        assert path.read_bytes() == (tmp_path / "expected").read_bytes()
        file.write(b"more")
