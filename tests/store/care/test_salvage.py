"""Salvage: the whole records after damage are recovered into a new experiment."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from construct import Float64l, Int16ul, Int32ul, Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from expstore import (
    ExperimentExistsError,
    ExperimentNotFoundError,
    ExperimentStore,
    InvalidCommitIdError,
    Metadata,
)
from formats import RECORD, LengthPrefixedText, RecordCodec, UnsupportedSchema
from formats.damage.candidates import find_candidates
from formats.damage.chain import best_chain
from formats.damage.clocks import KNOWN
from formats.damage.salvage import Gap, Stretch, resync
from formats.fields import ERRORS, Roles
from formats.metrics import ROLES
from formats.schema import Schema
from tests.damage import (
    CLOCKS,
    CODEC,
    NAMES,
    SCHEMA,
    corpus,
    damaged,
    falls_short,
    judge,
    records,
    salvaged,
)


@pytest.mark.parametrize("part", range(6))
def test_nearly_all_intact_records_come_back_and_nothing_else(part: int) -> None:
    """At least 99.9% of the intact records of each log, and at most one that was never written."""
    for number, (title, log) in enumerate(corpus(36, 4000)):
        if number % 6 == part:
            assert not falls_short(log, *judge(log), "seconds"), title


@pytest.mark.parametrize("clock", [clock for clock in CLOCKS if clock != "seconds"])
def test_any_clock_is_learned_from_the_log(clock: str) -> None:
    """Also in a log that is damaged often; a clock near zero is weaker evidence than others."""
    for title, log in corpus(36, 4000, clock):
        assert not falls_short(log, *judge(log), clock), title


def test_a_clock_of_another_unit_is_learned_though_the_beginning_is_lost() -> None:
    """The usual units are recognised without any record at byte 0."""
    written = records(random.Random(5), 1000, NAMES["five"], True, "milliseconds")
    data = bytes(512) + b"".join(written)[512:]
    assert set(salvaged(data)) == set(written[-len(list(salvaged(data))) :])
    assert len(list(salvaged(data))) >= 1000 - 512 // 22


@pytest.mark.parametrize("first", ["seconds", "milliseconds"])
def test_a_log_may_change_its_clock(first: str) -> None:
    """Both parts are salvaged, as after a program was corrected."""
    second = "seconds" if first == "milliseconds" else "milliseconds"
    rng = random.Random(6)
    parts = [records(rng, 1000, NAMES["five"], True, clock) for clock in (first, second)]
    torn = [*parts[0][:500], parts[0][500][:13], *parts[0][501:], *parts[1]]
    assert list(salvaged(b"".join(torn))) == [*parts[0][:500], *parts[0][501:], *parts[1]]


@pytest.mark.parametrize("kind", NAMES)
def test_undamaged_log_is_one_whole(kind: str) -> None:
    """Without damage, nothing is lost and there is no gap."""
    written = records(random.Random(kind), 3000, NAMES[kind], in_turn=False)
    assert list(salvaged(b"".join(written))) == written


def test_names_that_occur_once_are_salvaged() -> None:
    """A log in which every record has a different name is accepted, with or without tears."""
    rng = random.Random(7)
    written = records(rng, 3000, [f"run/{number}" for number in range(3000)], in_turn=True)
    lost, false = judge(damaged(rng, written, tears=20, deletions=0, zeroed=0))
    assert lost <= 3
    assert false == 0


def test_empty_names_are_salvaged_less_well() -> None:
    """Without names to recognize records by, some torn ones pass; intact ones are still found."""
    rng = random.Random(8)
    log = damaged(rng, records(rng, 4000, [""], in_turn=True), tears=100, deletions=0, zeroed=2)
    lost, false = judge(log)
    assert lost <= 4
    assert false <= 5


def test_gap_has_the_place_and_size_of_the_tear() -> None:
    """Exactly the torn record's bytes are left out."""
    written = records(random.Random(1), 100, NAMES["five"], in_turn=True)
    data = b"".join(written[:50]) + written[50][:13] + b"".join(written[51:])
    start = sum(map(len, written[:50]))
    assert list(resync(SCHEMA, ROLES, lambda at, n: data[at : at + n], len(data))) == [
        Stretch(0, start, 50),
        Gap(start, 13),
        Stretch(start + 13, len(data) - start - 13, 49),
    ]


@pytest.mark.parametrize("block", [4096, 5000, 5777, 30_000, 200_000])
def test_blocks_do_not_show(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records and damage across block boundaries are found like any others."""
    log = damaged(
        random.Random(3), records(random.Random(2), 3000, NAMES["long"], in_turn=False), 30, 0, 2
    )
    whole = list(salvaged(log.data))
    monkeypatch.setattr("formats.damage.salvage._BLOCK", block)
    monkeypatch.setattr("formats.damage.salvage._AHEAD", 4096)
    assert list(salvaged(log.data)) == whole


def test_resync_is_derived_from_the_declaration() -> None:
    """A log with different fields, little-endian and with its clock in the middle, is salvaged."""
    event = Struct(
        "level" / Int16ul,
        "at" / Int32ul,
        "round" / Int32ul,
        "label" / LengthPrefixedText(Int16ul),
        "x" / Float64l,
    )
    codec = RecordCodec(event)
    built = [
        codec.build(level=1, at=1_600_000_000 + n, round=n, label=f"event {n % 3}", x=n / 7)
        for n in range(200)
    ]
    data = b"".join(built[:100]) + built[100][:17] + b"".join(built[101:])
    roles = Roles(clock="at", counter="round", label="label")
    pieces = list(resync(Schema.of(event), roles, lambda at, n: data[at : at + n], len(data)))
    assert [piece.size for piece in pieces if isinstance(piece, Gap)] == [17]
    assert sum(piece.records for piece in pieces if isinstance(piece, Stretch)) == 199


def test_a_counter_far_beyond_all_others_is_no_record() -> None:
    """Twice the largest of others is accepted, which a spliced record hardly ever keeps to."""
    written = records(random.Random(9), 50, NAMES["five"], in_turn=True)
    for step, is_kept in ((19, True), (20, False), (4_000_000_000, False)):
        odd = CODEC.build(timestamp=1_700_000_000, step=step, value=0.5, name="loss")
        data = b"".join(written) + b"torn" + odd + b"torn" + b"".join(written)
        assert (odd in set(salvaged(data))) == is_kept


@pytest.mark.parametrize("size", range(1, 21))
def test_a_label_is_printable_without_control_characters(size: int) -> None:
    """Compared with a plain loop, with a control character or a high byte in every place."""
    rng = random.Random(size)
    labels = [bytes(rng.choice((0x20, 0x41, 0x7F, 0x80, 0xFF)) for _ in range(size))]
    labels += [
        labels[0][:place] + bytes((byte,)) + labels[0][place + 1 :]
        for place in range(size)
        for byte in (0, 1, 0x1F, 0x20, 0x7F, 0x80, 0x9F, 0xFF)
    ]
    hashes = {}
    for label in labels:
        name = label.decode("utf-8", ERRORS)
        record = CODEC.build(timestamp=1_700_000_000, step=0, value=0.5, name=name)
        found = find_candidates(SCHEMA, ROLES, record, True, KNOWN[:1])
        assert found.starts[0] == 0
        assert found.printable[0] == all(byte >= 0x20 for byte in label)
        hashes[label] = int(found.labels[0])
    assert len(set(hashes.values())) == len(hashes)


@pytest.mark.parametrize(("clock", "fits"), [(99, False), (100, True), (200, True), (201, False)])
def test_the_range_of_clocks_includes_both_its_ends(clock: int, fits: bool) -> None:
    """A record of the first or last second of a log is one of its records."""
    record = CODEC.build(timestamp=clock, step=0, value=0.5, name="loss")
    found = find_candidates(SCHEMA, ROLES, record, True, [(100, 200)])
    assert (0 in found.starts) == fits


def test_declaration_without_a_fixed_clock_is_refused() -> None:
    """If the clock's position depends on a text, no offset can be ruled out."""
    event = Struct("label" / LengthPrefixedText(Int16ul), "at" / Int32ul, "round" / Int32ul)
    roles = Roles(clock="at", counter="round", label="label")
    with pytest.raises(UnsupportedSchema, match="before the first text"):
        list(resync(Schema.of(event), roles, lambda at, n: b"", 10))


def best_score(
    pieces: list[tuple[int, int, int]], gap: int, end: int | None, at: int, inside: bool
) -> int:
    """The oracle: the best score by trying every chain."""
    scores = [0 if end is None or at == end or inside else -gap]
    for start, stop, score in pieces:
        if start >= at:
            cost = gap if start > at and not inside else 0
            scores.append(score - cost + best_score(pieces, gap, end, stop, False))
    return max(scores)


@given(
    pieces=st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 6), st.integers(1, 5)), max_size=7
    ),
    gap=st.integers(0, 4),
    is_last=st.booleans(),
    follows=st.booleans(),
)
@settings(max_examples=400)
def test_best_chain_is_the_best_of_all(
    pieces: list[tuple[int, int, int]], gap: int, is_last: bool, follows: bool
) -> None:
    """No other choice of non-overlapping intervals scores higher."""
    intervals = sorted({start: (start, start + size, s) for start, size, s in pieces}.values())
    end = max((stop for _, stop, _ in intervals), default=0) if is_last else None
    columns = [np.array([i[k] for i in intervals], np.int64) for k in range(3)]
    chosen = [intervals[i] for i in best_chain(*columns, gap, end, follows).tolist()]
    position, inside, score = 0, not follows, 0
    for start, stop, points in chosen:
        assert start >= position
        score += points - (gap if start > position and not inside else 0)
        position, inside = stop, False
    if end is not None and position != end and not inside:
        score -= gap
    assert score == best_score(intervals, gap, end, 0, not follows)


def test_salvage_makes_a_new_experiment(store: ExperimentStore) -> None:
    """Records and metadata are in the target; the source is unchanged."""
    written = torn_in_the_middle(store, "old")
    store.write_metadata(Metadata("old", 1_600_000_000, "job", "ann"))
    before = store.metrics_path("old").read_bytes()
    report = store.salvage("old", "new")
    assert store.metrics_path("new").read_bytes() == b"".join(written)
    assert store.metrics_path("old").read_bytes() == before
    assert store.read_metadata("new") == Metadata("new", 1_600_000_000, "job", "ann")
    assert store.files_path("new").is_dir()
    assert (report.records, report.gap_count, report.gap_bytes) == (len(written), 1, 13)
    assert [gap.size for gap in report.gaps] == [13]
    assert report.metadata_error == ""
    assert "flipped" in str(report)
    assert store.get_metrics("new").status
    assert store.list_experiments() == ["new", "old"]


def test_salvage_without_metadata_says_so(vectors_copy: ExperimentStore) -> None:
    """If the source has no metadata, the target gets none, and the report says why."""
    report = vectors_copy.salvage("torn-then-appended", "new")
    assert "no metadata" in report.metadata_error
    assert not vectors_copy.metadata_path("new").exists()
    assert report.records == 10


@pytest.mark.parametrize("commit_id", ["torn-name", "zero-tail", "edge-values", "empty-metrics"])
def test_salvage_of_an_aligned_log_is_its_prefix(
    commit_id: str, vectors_copy: ExperimentStore
) -> None:
    """If only the end is bad, everything before it is kept, plausible or not."""
    table = vectors_copy.get_metrics(commit_id)
    vectors_copy.salvage(commit_id, "new")
    assert vectors_copy.get_metrics("new") == table[: len(table) - table.status.records]
    assert vectors_copy.get_metrics("new").status


def test_salvage_writes_over_nothing(store: ExperimentStore) -> None:
    """An experiment, a file or a link with the target's name is left alone."""
    torn_in_the_middle(store, "old")
    store.create_experiment("there")
    (store.root / "file").write_text("kept")
    (store.root / "link").symlink_to("nowhere")
    for target in ("there", "file", "link", "old"):
        with pytest.raises(ExperimentExistsError, match="already exists"):
            store.salvage("old", target)
    assert (store.root / "file").read_text() == "kept"
    with pytest.raises(InvalidCommitIdError):
        store.salvage("old", "../new")
    with pytest.raises(ExperimentNotFoundError):
        store.salvage("nope", "new")
    assert sorted(path.name for path in store.root.iterdir()) == ["file", "link", "old", "there"]


def test_a_salvage_that_was_done_says_so(store: ExperimentStore) -> None:
    """Killed after it gave the copy its name, and run again, it is no error."""
    torn_in_the_middle(store, "old")
    store.write_metadata(Metadata("old", 1_600_000_000, "job", "ann"))
    report = store.salvage("old", "new")
    again = store.salvage("old", "new")
    assert again == replace(report, already_there=True)
    assert "already salvaged" in str(again)
    store.log_metric("new", "loss", 0.5, 1)
    with pytest.raises(ExperimentExistsError, match="already exists"):
        store.salvage("old", "new")


def test_failed_salvage_leaves_nothing(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new experiment appears only when complete."""
    torn_in_the_middle(store, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.salvage("old", "new")
    assert [path.name for path in store.root.iterdir()] == ["old"]


@pytest.mark.parametrize("clock", ["milliseconds", "microseconds", "nanoseconds"])
def test_salvage_finds_all_records_whatever_the_unit_of_time(
    store: ExperimentStore, clock: str
) -> None:
    """A thousand whole records, and one that is torn."""
    written = torn_in_the_middle(store, "old", clock, 1001)
    report = store.salvage("old", "new")
    assert (report.status.kind, report.records, report.gap_bytes) == ("implausible", 1000, 13)
    assert store.metrics_path("new").read_bytes() == b"".join(written)


def torn_in_the_middle(
    store: ExperimentStore, commit_id: str, clock: str = "seconds", count: int = 400
) -> list[bytes]:
    """Write a log with one tear in its middle; returns its whole records."""
    written = records(random.Random(4), count, NAMES["five"], True, clock)
    path: Path = store.create_experiment(commit_id) / "metrics.bin"
    path.write_bytes(b"".join(written[:200]) + written[200][:13] + b"".join(written[201:]))
    return written[:200] + written[201:]


def test_records_are_those_of_the_declaration() -> None:
    """The corpus is built by the format itself."""
    assert RECORD.parse(records(random.Random(0), 1, ["x"], in_turn=True)[0]).name == "x"
    assert CODEC.schema == SCHEMA
