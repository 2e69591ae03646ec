"""Numbers of things in messages."""

from __future__ import annotations

from expstore import ExperimentStore
from formats.errors import counted
from tests.helpers.logs import log


def test_one_thing_is_not_many() -> None:
    """Zero and others are; the number may be grouped."""
    assert [counted(n, "gap") for n in (0, 1, 2)] == ["0 gaps", "1 gap", "2 gaps"]
    assert counted(1000, "row", ",") == "1,000 rows"


def test_messages_about_a_log_count_well(store: ExperimentStore) -> None:
    """A tear of one byte, a single gap."""
    (store.create_experiment("a") / "metrics.bin").write_bytes(log(1) + b"\1")
    assert str(store.get_metrics("a").status) == "torn tail of 1 byte at byte 25"
    report = str(store.salvage("a", "b"))
    assert "1 record (25 bytes) salvaged" in report
    assert "1 gap (1 byte) left out" in report
