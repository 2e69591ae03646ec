"""Seals: sums that `sha256sum` and `check` verify, over logs that may grow."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import (
    ExperimentNotFoundError,
    ExperimentStore,
    Metadata,
    NoSpaceError,
    ReadOnlyStoreError,
    SealError,
    UnreadableFileError,
)
from expstore.store.care import sums
from expstore.store.care.sums import Sums
from tests.helpers.commands import expstore
from tests.helpers.logs import log

# Names that coreutils escapes, that are no UTF-8, and that look like something else.
ODD_NAMES = [
    "a b",
    "line\nbreak",
    "back\\slash",
    "end\r",
    "\\n",
    "\udcff",
    "# metrics.bin: 1 bytes",
]

needs_sha256sum = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")


@pytest.fixture
def path(store: ExperimentStore) -> Path:
    """An experiment with a log, metadata and artifacts."""
    path = store.create_experiment("a")
    store.write_metadata(Metadata("a", 1_700_000_000, "train", "alice"))
    (path / "metrics.bin").write_bytes(log(10))
    (path / "files" / "sub").mkdir()
    (path / "files" / "model.pt").write_bytes(b"weights")
    (path / "files" / "sub" / ".hidden").write_bytes(b"")
    return path


def found(store: ExperimentStore, commit_id: str = "a") -> list[tuple[str, str]]:
    """The kind and the file of each finding of a check."""
    root = f"{store.location}/{commit_id}/"
    return [(f.kind, str(f.path).removeprefix(root)) for f in store.check(commit_id).findings]


def verified(path: Path) -> subprocess.CompletedProcess[bytes]:
    """What `sha256sum` makes of an experiment's seal."""
    command = ["sha256sum", "--check", "--strict", "--warn", "SHA256SUMS"]
    return subprocess.run(command, cwd=path, capture_output=True, check=False)


def flip(path: Path) -> None:
    """Turn over one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


class TestFile:
    """What `seal` writes."""

    @needs_sha256sum
    def test_its_lines_are_those_of_sha256sum(self, store: ExperimentStore, path: Path) -> None:
        """Byte by byte, whatever the names are; the comment alone is ours."""
        for name in ODD_NAMES:
            (path / "files" / name).write_text(name, errors="surrogateescape")
        (path / "run.json").write_text("{}")
        report = store.seal("a")
        comment, *lines = (path / "SHA256SUMS").read_bytes().splitlines(keepends=True)
        assert comment == b"# metrics.bin: 245 bytes\n"
        below = sorted([*ODD_NAMES, "model.pt", "sub/.hidden"], key=os.fsencode)
        names = ["meta.bin", "metrics.bin", "run.json", *(f"files/{name}" for name in below)]
        printed = subprocess.run(["sha256sum", *names], cwd=path, capture_output=True, check=True)
        assert lines == printed.stdout.splitlines(keepends=True)
        done = verified(path)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.count(b": OK\n") == len(names)
        assert (report.files, report.path, report.skipped) == (12, path / "SHA256SUMS", ())
        assert report.size == sum((path / name).stat().st_size for name in names)
        assert found(store) == []

    @given(
        names=st.lists(
            st.binary(min_size=1).filter(lambda name: not {0, 47} & {*name}), unique=True
        ),
        log_size=st.none() | st.integers(0, 2**63 - 1),
    )
    def test_what_is_built_is_parsed(self, names: list[bytes], log_size: int | None) -> None:
        """Any names that a file system can hold, and any size of a log."""
        plain = [os.fsdecode(name) for name in names if name not in (b".", b"..")]
        digests = {
            f"files/{name}": hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
            for name in plain
        }
        sealed = Sums({"meta.bin": "0" * 64, **digests}, log_size)
        assert sums.parse(sums.build(sealed)) == sealed

    def test_it_is_replaced_atomically_and_synced(
        self, store: ExperimentStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The content is on disk before it takes the name, and the name before `seal` returns."""
        store.seal("a")
        calls: list[str] = []
        for name in ("fsync", "replace"):
            call = getattr(os, name)

            def noted(*args: Any, _call: Any = call, _name: str = name, **options: Any) -> None:
                what = ""
                if _name == "fsync":
                    what = os.path.basename(os.readlink(f"/proc/self/fd/{args[0]}")).partition(".")[
                        0
                    ]
                calls.append(_name + what)
                _call(*args, **options)

            monkeypatch.setattr(os, name, noted)
        store.seal("a")
        assert calls[:2] == ["fsync", "replace"]
        assert {*calls[2:]} == {"fsynca"}
        old = (path / "SHA256SUMS").read_bytes()
        (path / "files" / "new").write_bytes(b"")

        def full(*args: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(NoSpaceError):
            store.seal("a")
        assert (path / "SHA256SUMS").read_bytes() == old
        assert found(store) == [("unsealed", "files/new")]

    def test_large_files_are_hashed_in_blocks(self, store: ExperimentStore, path: Path) -> None:
        """Memory does not grow with a file, and progress is reported in bytes."""
        size = 48 << 20
        os.truncate(path / "files" / "model.pt", size)
        seen: list[tuple[int, int]] = []
        tracemalloc.start()
        try:
            store.seal("a", progress=lambda done, total: seen.append((done, total)))
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()
        total = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        total -= (path / "SHA256SUMS").stat().st_size
        assert len(seen) > 40
        assert seen == sorted(seen)
        assert seen[-1] == (total, total)

    def test_links_are_not_followed(
        self, store: ExperimentStore, path: Path, tmp_path: Path
    ) -> None:
        """Links, to files and to directories, and what is no file are named as left out."""
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "secret").write_bytes(b"secret")
        files = path / "files"
        (files / "directory").symlink_to(tmp_path / "outside")
        (files / "file").symlink_to(tmp_path / "outside" / "secret")
        (files / "dangling").symlink_to("nowhere")
        (path / "run.json").symlink_to(tmp_path / "outside" / "secret")
        os.mkfifo(files / "fifo")
        report = store.seal("a", force=True)  # a linked run.json is damage
        left_out = ["files/dangling", "files/directory", "files/fifo", "files/file", "run.json"]
        assert list(report.skipped) == left_out
        assert (report.files, "not sealed: files/dangling" in str(report)) == (4, True)
        shutil.rmtree(files / "sub")
        (tmp_path / "outside" / ".hidden").write_bytes(b"")
        (files / "sub").symlink_to(tmp_path / "outside")
        (files / "model.pt").unlink()
        os.mkfifo(files / "model.pt")
        assert found(store) == [
            ("unreadable", "run.json"),
            ("unreadable", "files/model.pt"),
            ("missing", "files/sub/.hidden"),
        ]

    def test_deep_trees_need_few_descriptors(self, store: ExperimentStore, path: Path) -> None:
        """Deeper than a path or the limit of open files allows."""
        inner = os.open(path / "files", os.O_RDONLY)
        for _ in range(600):
            os.mkdir("d" * 30, dir_fd=inner)
            above, inner = inner, os.open("d" * 30, os.O_RDONLY, dir_fd=inner)
            os.close(above)
        os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
        os.close(inner)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
        try:
            assert store.seal("a").files == 5
            assert found(store) == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class TestCheck:
    """What `check` reports about a sealed experiment."""

    @pytest.mark.parametrize("name", ["meta.bin", "metrics.bin", "files/model.pt"])
    def test_a_flipped_bit_is_found(self, store: ExperimentStore, path: Path, name: str) -> None:
        """In every file that is covered and is not meant to be changed; the file is named."""
        store.seal("a")
        assert store.check("a").ok
        flip(path / name)
        assert ("altered", name) in found(store)
        assert not store.check("a").ok

    def test_a_changed_run_json_is_noted(self, store: ExperimentStore, path: Path) -> None:
        """Tags come later, so it is no damage if it can be parsed; `seal` covers it again."""
        store.update_run("a", notes="x")
        store.seal("a")
        store.update_run("a", tags=["best"])
        assert found(store) == [("changed", "run.json")]
        assert store.check("a").ok
        store.seal("a")
        assert found(store) == []
        (path / "run.json").write_text('{"notes": ')
        assert found(store) == [("unreadable", "run.json"), ("changed", "run.json")]
        assert not store.check("a").ok

    def test_missing_and_new_files_are_named(self, store: ExperimentStore, path: Path) -> None:
        """A file that is gone is damage; one that was made since is a note."""
        store.seal("a")
        (path / "files" / "new").write_bytes(b"")
        assert found(store) == [("unsealed", "files/new")]
        assert store.check("a").ok
        shutil.rmtree(path / "files" / "sub")
        (path / "metrics.bin").unlink()
        assert found(store) == [
            ("missing", "metrics.bin"),
            ("missing", "files/sub/.hidden"),
            ("unsealed", "files/new"),
        ]
        assert not store.check("a").ok

    def test_a_log_that_has_grown_is_no_damage(self, store: ExperimentStore, path: Path) -> None:
        """As long as it begins with what was sealed."""
        store.seal("a")
        store.log_metric("a", "loss", 0.5, 11)
        (finding,) = store.check("a").findings
        assert (finding.kind, finding.path, finding.size) == ("grown", path / "metrics.bin", 25)
        assert finding.severity == "note"
        data = (path / "metrics.bin").read_bytes()
        flip(path / "metrics.bin")  # within what was sealed
        assert found(store) == [("altered", "metrics.bin")]
        (path / "metrics.bin").write_bytes(data[:200])
        (torn, shorter) = store.check("a").findings
        assert (torn.kind, shorter.kind) == ("torn-tail", "altered")
        assert "45 bytes shorter" in shorter.detail
        (path / "metrics.bin").write_bytes(data)
        store.seal("a")
        assert found(store) == []

    def test_an_empty_log_may_grow(self, store: ExperimentStore, path: Path) -> None:
        """And one that is longer than a block, sealed at the end of a block or inside it."""
        for size in (0, 1 << 20, (1 << 20) + 21, 5 << 20):
            data = bytes(21) * (size // 21 + 1)
            (path / "metrics.bin").write_bytes(data[:size])
            store.seal("a", force=True)
            (path / "metrics.bin").write_bytes(data[:size] + log(2))
            assert ("grown", "metrics.bin") in found(store), size

    def test_a_log_without_a_size_is_compared_as_a_whole(
        self, store: ExperimentStore, path: Path
    ) -> None:
        """A file that `sha256sum` itself made is a seal, too."""
        lines = [
            f"{hashlib.sha256((path / 'metrics.bin').read_bytes()).hexdigest()} *./metrics.bin"
        ]
        (path / "SHA256SUMS").write_text(
            "\n".join(lines).upper().replace("METRICS.BIN", "metrics.bin") + "\n"
        )
        kinds = {kind for kind, _ in found(store)}
        assert kinds == {"unsealed"}
        store.log_metric("a", "loss", 0.5, 11)
        assert ("altered", "metrics.bin") in found(store)

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("", "no sums"),
            ("# metrics.bin: 245 bytes\n", "no sums"),
            ("{d}  meta.bin\n{d}", "line 2 has no end"),
            ("{d}  meta.bin\n\n", "line 2"),
            ("{d} meta.bin\n", "line 1"),
            ("x{d}  meta.bin\n", "line 1"),
            ("{d}  meta.bin\n{d}  meta.bin\n", "line 2"),
            ("{d}  ../a/meta.bin\n", "line 1"),
            ("{d}  /etc/passwd\n", "line 1"),
            ("{d}  files/../../b/meta.bin\n", "line 1"),
            ("{d}  files//x\n", "line 1"),
            ("{d}  files\n", "line 1"),
            ("{d}  files/a\0b\n", "line 1"),
            ("{d}  other\n", "line 1"),
            ("\\{d}  files/a\\t\n", "line 1"),
            ("\\{d}  files/a\\\n", "line 1"),
        ],
    )
    def test_a_damaged_seal_is_reported(
        self, store: ExperimentStore, path: Path, text: str, what: str
    ) -> None:
        """With the line; no file is opened that is not the experiment's."""
        seal = path / "SHA256SUMS"
        seal.write_text(text.format(d="0" * 64))
        (finding,) = store.check("a").findings
        assert (finding.kind, finding.path) == ("unreadable", seal)
        assert what in finding.detail
        with pytest.raises(SealError, match="force a new seal"):
            store.seal("a")
        assert store.seal("a", force=True).files == 4
        assert found(store) == []

    def test_a_seal_that_is_no_file_is_reported(self, store: ExperimentStore, path: Path) -> None:
        """A directory, a link, or a sparse file of any size is not read."""
        seal = path / "SHA256SUMS"
        seal.mkdir()
        assert ("unreadable", "SHA256SUMS") in found(store)
        seal.rmdir()
        seal.symlink_to("meta.bin")
        assert ("unreadable", "SHA256SUMS") in found(store)
        seal.unlink()
        with open(seal, "wb") as file:
            file.truncate(1 << 40)
        assert found(store) == [("unreadable", "SHA256SUMS")]

    def test_a_seal_replaced_meanwhile_is_read_again(
        self, store: ExperimentStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Metadata rewritten and sealed during a check is not reported as altered."""
        store.seal("a")
        parse, times = sums.parse, []

        def parsed(data: bytes) -> Sums:
            if not times:
                times.append(1)
                store.write_metadata(Metadata("a", 1_700_000_001))
                store.seal("a", force=True)
            return parse(data)

        monkeypatch.setattr(sums, "parse", parsed)
        assert found(store) == []

    def test_many_findings_are_counted(self, store: ExperimentStore, path: Path) -> None:
        """A lost directory of a thousand files does not hide the rest."""
        for number in range(1000):
            (path / "files" / "sub" / str(number)).write_bytes(b"")
        store.seal("a")
        shutil.rmtree(path / "files" / "sub")
        report = store.check("a")
        assert len(report.findings) == 101
        assert report.findings[-1].detail == "and 901 more files"
        assert not report.ok

    def test_a_copy_at_a_url_is_verified(self, store: ExperimentStore, path: Path) -> None:
        """A copy takes its seal with it; sealing one is refused."""
        fsspec = pytest.importorskip("fsspec")
        store.seal("a")
        memory = fsspec.filesystem("memory")
        memory.put(f"{store.root}/", "/sealed/", recursive=True)
        try:
            copy = ExperimentStore("memory://sealed")
            assert copy.check("a").ok
            memory.pipe("/sealed/a/files/model.pt", b"WEIGHTS")
            memory.rm("/sealed/a/files/sub", recursive=True)
            memory.pipe("/sealed/a/files/more/new", b"")
            kinds = [(f.kind, str(f.path)) for f in copy.check("a").findings]
            assert kinds == [
                ("altered", "memory://sealed/a/files/model.pt"),
                ("missing", "memory://sealed/a/files/sub/.hidden"),
                ("unsealed", "memory://sealed/a/files/more/new"),
            ]
            with pytest.raises(ReadOnlyStoreError):
                copy.seal("a")
        finally:
            memory.rm("/sealed", recursive=True)


class TestSealAgain:
    """An older seal is verified before it is replaced."""

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            (lambda path: flip(path / "files" / "model.pt"), "files/model.pt"),
            (lambda path: (path / "files" / "model.pt").unlink(), "files/model.pt"),
            (lambda path: os.truncate(path / "metrics.bin", 49), "metrics.bin"),
        ],
    )
    def test_damage_is_not_sealed(
        self, store: ExperimentStore, path: Path, change: Callable[[Path], object], name: str
    ) -> None:
        """The old seal is kept, so the damage goes on being reported, unless it is forced."""
        store.seal("a")
        old = (path / "SHA256SUMS").read_bytes()
        change(path)
        with pytest.raises(SealError, match=f"differ from it: {name};.*restore"):
            store.seal("a")
        assert (path / "SHA256SUMS").read_bytes() == old
        store.seal("a", force=True)
        assert found(store) == []

    def test_what_was_added_is_sealed(self, store: ExperimentStore, path: Path) -> None:
        """New records and files need no force."""
        store.seal("a")
        store.log_metric("a", "loss", 0.5, 11)
        (path / "files" / "new").write_bytes(b"")
        assert store.seal("a").files == 5
        assert found(store) == []

    def test_what_cannot_be_sealed(self, store: ExperimentStore) -> None:
        """No experiment, no file, or a log that is none."""
        with pytest.raises(ExperimentNotFoundError):
            store.seal("a")
        path = store.create_experiment("a")
        with pytest.raises(SealError, match="no file to seal"):
            store.seal("a")
        (path / "metrics.bin").mkdir()
        (path / "files" / "x").write_bytes(b"")
        with pytest.raises(SealError, match=r"metrics\.bin \(unreadable\)"):
            store.seal("a")
        assert store.seal("a", force=True).skipped == ("metrics.bin",)
        (path / "SHA256SUMS").unlink()
        (path / "SHA256SUMS").mkdir()
        with pytest.raises(SealError):
            store.seal("a")
        with pytest.raises(UnreadableFileError):
            store.seal("a", force=True)

    @pytest.mark.parametrize(
        ("name", "data", "kind"),
        [
            ("metrics.bin", log(3)[:-1], "torn-tail"),
            ("metrics.bin", log(3) + bytes(60), "zero-tail"),
            ("metrics.bin", log(9)[:-7] + log(9, names=("other",)), "implausible"),
            ("meta.bin", b"\1\0\0", "truncated"),
            ("meta.bin", b"\2", "unsupported-version"),
        ],
    )
    def test_what_check_calls_damaged_is_not_sealed(
        self, store: ExperimentStore, path: Path, name: str, data: bytes, kind: str
    ) -> None:
        """A seal would say that it is as it should be; forced, it says that it is meant."""
        (path / name).write_bytes(data)
        with pytest.raises(SealError, match=rf"{name} \({kind}\); see `expstore check a`"):
            store.seal("a")
        assert not (path / "SHA256SUMS").exists()
        store.seal("a", force=True)
        assert found(store) == [(kind, name)]


class TestOtherVerbs:
    """What the rest of the store does with a seal."""

    def test_it_is_not_foreign_and_leftovers_are_known(
        self, store: ExperimentStore, path: Path
    ) -> None:
        """An interrupted replacement is reported, and removed by the next one."""
        store.seal("a")
        left = path / ".SHA256SUMS.0123456789abcdef"
        left.write_bytes(b"")
        assert found(store) == [("leftover", left.name)]
        store.seal("a")
        assert found(store) == []

    def test_prune_deletes_it(self, store: ExperimentStore, path: Path) -> None:
        """With its experiment."""
        store.seal("a")
        assert store.prune_experiments(0) == ["a"]
        assert not list(store.root.iterdir())

    def test_salvage_does_not_copy_it(self, store: ExperimentStore, path: Path) -> None:
        """The new experiment has other files, so the old sums would be wrong."""
        store.seal("a")
        store.salvage("a", "b")
        assert not (store.experiment_path("b") / "SHA256SUMS").exists()
        assert found(store) == found(store, "b") == []

    def test_a_torn_tail_after_the_seal_is_repaired(
        self, store: ExperimentStore, path: Path
    ) -> None:
        """What is cut was not sealed, so the seal holds again."""
        store.seal("a")
        with open(path / "metrics.bin", "ab") as file:
            file.write(log(1)[:-1])
        assert [kind for kind, _ in found(store)] == ["torn-tail", "grown"]
        store.repair("a")
        assert [kind for kind, _ in found(store)] == ["set-aside"]

    def test_a_sealed_tail_is_not_repaired(self, store: ExperimentStore, path: Path) -> None:
        """A seal never becomes false by a repair that was not asked for by force."""
        torn = log(10)[:-3] + bytes(1)
        (path / "metrics.bin").write_bytes(torn)
        store.seal("a", force=True)
        with pytest.raises(SealError, match="sealed, so nothing was cut"):
            store.repair("a")
        assert (path / "metrics.bin").read_bytes() == torn
        assert [kind for kind, _ in found(store)] == ["torn-tail"]
        store.repair("a", force=True)
        assert [kind for kind, _ in found(store)] == ["set-aside", "altered"]

    def test_a_damaged_seal_stops_a_repair(self, store: ExperimentStore, path: Path) -> None:
        """It does not say any more what it covers."""
        (path / "SHA256SUMS").write_bytes(b"?")
        with open(path / "metrics.bin", "ab") as file:
            file.write(b"\1")
        with pytest.raises(SealError):
            store.repair("a")
        store.repair("a", force=True)
        assert store.get_metrics("a").status

    @pytest.mark.skipif("EXPSTORE_REFERENCE" not in os.environ, reason="no reference program")
    def test_the_reference_ignores_it(self, store: ExperimentStore, path: Path) -> None:
        """It lists, reads, logs to and prunes a sealed experiment as any other."""

        def reference(verb: str, *arguments: str) -> str:
            command = [os.environ["EXPSTORE_REFERENCE"], verb, str(store.root), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        before = [reference(*call) for call in (("list",), ("read-meta", "a"), ("metrics", "a"))]
        store.seal("a")
        after = [reference(*call) for call in (("list",), ("read-meta", "a"), ("metrics", "a"))]
        assert before == after
        reference("log", "a", "loss", "0.5", "11")
        assert [kind for kind, _ in found(store)] == ["grown"]
        assert json.loads(reference("prune", "0", "0")) == ["a"]
        assert not list(store.root.iterdir())


class TestCommand:
    """`expstore seal` and what `expstore check` prints of it."""

    def test_seal_and_check(self, store: ExperimentStore, path: Path) -> None:
        """Files are named by their path in the experiment, with the remedy."""
        store.create_experiment("b")
        (store.files_path("b") / "x").write_bytes(b"")
        root = ("--root", str(store.root))
        done = expstore("seal", "a", "b", *root)
        assert (done.returncode, done.stderr) == (0, "")
        assert "4 files (275 bytes) sealed" in done.stdout
        flip(path / "files" / "model.pt")
        done = expstore("check", *root)
        assert done.returncode == 3
        assert "a/files/model.pt: altered: differs from what was sealed" in done.stdout
        assert "  altered: the file is not as it was sealed; restore it" in done.stdout
        done = expstore("seal", "a", "b", *root, "--json")
        assert done.returncode == 1
        failed, sealed = json.loads(done.stdout)
        assert failed["commit_id"] == "a"
        assert "files/model.pt" in failed["error"]
        assert failed["error"] in done.stderr
        seal = str(store.experiment_path("b") / "SHA256SUMS")
        assert sealed == {"commit_id": "b", "path": seal, "files": 1, "size": 0, "skipped": []}
        assert expstore("seal", "a", "--force", *root).returncode == 0
        assert expstore("check", "a", *root).returncode == 0

    def test_bad_usage(self, store: ExperimentStore) -> None:
        """An id is needed, and must be that of an experiment."""
        assert expstore("seal", "--root", str(store.root)).returncode == 2
        done = expstore("seal", "nope", "--root", str(store.root))
        assert (done.returncode, done.stdout) == (1, "")
