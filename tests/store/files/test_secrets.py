"""The secrets with which a store is reached appear in no output."""

from __future__ import annotations

import errno
import importlib
import pickle
import traceback
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from distributed import Client, LocalCluster
from fsspec.implementations.memory import MemoryFileSystem

from expstore import ExperimentStore, ExpStoreError, FormatError, StoreNotFoundError
from expstore.cli import base
from expstore.cli import run as runner
from expstore.cluster import check_store, export_parquet, read_metadata, read_metrics
from expstore.exchange.export import export_file
from expstore.report.page import write_report
from expstore.store.files.showable import Secrets, showable
from tests.helpers.paths import VECTORS
from tests.helpers.tables import run

for theme in runner._THEMES:
    importlib.import_module(f"expstore.cli.{theme}")

URL = "vault://alice:hunter%402word@host/experiments?sig=querysecret"
OPTIONS = {
    "token": "optionsecret",
    "client_kwargs": {"headers": {"Authorization": "Bearer bearersecret"}},
}
SECRETS = (
    "hunter%402word",
    "hunter@2word",
    "hunter%25402word",
    "YWxpY2U6aHVudGVyQDJ3b3Jk",  # as HTTP's basic authentication sends it
    "querysecret",
    "optionsecret",
    "bearersecret",
)


class RefusedError(Exception):
    """An exception of a library that knows no other's."""


FAILURES: list[Callable[[str], Exception]] = [
    OSError,
    ValueError,
    RuntimeError,
    RefusedError,
    FileNotFoundError,
    NotADirectoryError,
    TimeoutError,
    KeyError,
    lambda text: PermissionError(errno.EACCES, text, text),
    lambda text: UnicodeDecodeError("ascii", b"\xff", 0, 1, text),
]


class VaultFileSystem(MemoryFileSystem):
    """A file system behind a password; what it raises shows everything that it was given."""

    protocol = "vault"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    failure: Callable[[str], Exception] | None = None
    only = ""  # what the paths contain that fail

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        bare = path.partition("://")[2] or path
        return "/" + bare.rpartition("@")[2].partition("?")[0].removeprefix("host/").strip("/")

    def _fail(self, path: str) -> None:
        if self.failure is not None and self.only in path:
            text = f"GET {URL} with {self.storage_options}: {' '.join(SECRETS[:5])}: {path}"
            try:
                raise RuntimeError(text)
            except RuntimeError as error:
                raise type(self).failure(text) from error

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:  # noqa: D102
        self._fail(path)
        return super().ls(path, detail, **kwargs)

    def info(self, path: str, **kwargs: Any) -> Any:  # noqa: D102
        self._fail(path)
        return super().info(path, **kwargs)

    def _open(self, path: str, *arguments: Any, **kwargs: Any) -> Any:
        self._fail(path)
        return super()._open(path, *arguments, **kwargs)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[VaultFileSystem]]:
    """The file system, with the golden vectors."""
    fsspec.register_implementation("vault", VaultFileSystem, clobber=True)
    for commit_id in ("3f2a9c1d", "torn-name", "bad-version"):
        for file in (VECTORS / "store" / commit_id).glob("*.bin"):
            VaultFileSystem().pipe(f"/experiments/{commit_id}/{file.name}", file.read_bytes())
    monkeypatch.setattr(VaultFileSystem, "failure", None)
    yield VaultFileSystem
    VaultFileSystem.store.clear()


def check_hidden(text: str | bytes) -> None:
    """Fail if a text has a secret."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    assert [secret for secret in SECRETS if secret in text] == []


COMMANDS = {
    "metrics": ["3f2a9c1d"],
    "log": ["3f2a9c1d", "loss", "1", "--step", "1"],
    "show": ["bad-version"],
    "prune": ["--keep", "1", "--dry-run"],
    "export": ["--to", "jsonl", "--metadata"],
    "import": ["--from", "csv", "missing.csv"],
    "salvage": ["torn-name", "--to", "b"],
    "plot": ["3f2a9c1d", "--name", "loss"],
    "check": ["--json"],
    **{name: [] for name in ("init", "ls", "compare", "demo", "schema", "report")},
}


@pytest.mark.parametrize(
    "command", sorted(one.name or one.callback.__name__ for one in base.app.registered_commands)
)
def test_no_command_shows_a_secret(
    command: str,
    vault: type[VaultFileSystem],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Neither on its outputs nor in the files that it writes, whatever the file system raises."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPSTORE_ROOT", URL)
    for failure, only in (None, ""), (OSError, ""), (RefusedError, "3f2a9c1d/m"):
        monkeypatch.setattr(vault, "failure", failure)
        monkeypatch.setattr(vault, "only", only)
        done = run(capsys, command, *COMMANDS.get(command, ["3f2a9c1d"]))
        check_hidden(done.out + done.err)
    for file in tmp_path.rglob("*"):
        check_hidden(str(file))
        if file.is_file():
            check_hidden(file.read_bytes())


CALLS: dict[str, Callable[[ExperimentStore], Any]] = {
    "list": lambda s: s.list_experiments(),
    "metadata": lambda s: s.read_metadata("3f2a9c1d"),
    "all metadata": lambda s: [str(outcome) for _, outcome in s.iter_metadata()],
    "metrics": lambda s: s.get_metrics("3f2a9c1d"),
    "chunks": lambda s: list(s.iter_metrics("3f2a9c1d")),
    "exists": lambda s: s.experiment_exists("3f2a9c1d"),
    "check": lambda s: [str(vars(f)) for r in s.check_all() for f in r.findings],
    "follow": lambda s: s.follow("3f2a9c1d").poll(),
    "sizes": lambda s: s.log_sizes(["3f2a9c1d"]),
    "arrow": lambda s: s.to_arrow(["3f2a9c1d"]).read_all(),
    "frame": lambda s: read_metrics(s).compute(scheduler="sync"),
    "metadata frame": lambda s: read_metadata(s).compute(scheduler="sync").to_csv(),
    "fingerprint": lambda s: s.locate("3f2a9c1d", "metrics.bin").fingerprint(),
    "root": lambda s: s.root,
    "start": lambda s: s.start_experiment("a"),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_error_shows_a_secret(
    call: str, vault: type[VaultFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its message nor its traceback, for each class that a file system may raise."""
    store = ExperimentStore(URL, storage_options=OPTIONS)
    for failure, only in product(FAILURES, ("", "meta.bin", "metrics.bin")):
        monkeypatch.setattr(vault, "failure", staticmethod(failure))
        monkeypatch.setattr(vault, "only", only)
        try:
            check_hidden(str(CALLS[call](store)))
        except (ExpStoreError, FormatError) as error:
            check_hidden(f"{error} {error!r} {vars(error)}")
            check_hidden("".join(traceback.format_exception(error)))
            check_hidden(pickle.dumps(error))


def test_a_cause_without_secrets_is_kept(
    vault: type[VaultFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows where in the library the error comes from."""
    monkeypatch.setattr(VaultFileSystem, "_fail", lambda self, path: {}["harmless"])
    with pytest.raises(ExpStoreError, match="harmless") as caught:
        ExperimentStore(URL).list_experiments()
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_store_shows_no_secret(vault: type[VaultFileSystem], tmp_path: Path) -> None:
    """In its repr, its report's title, an export's mark and the cluster's frames."""
    store = ExperimentStore(URL, storage_options=OPTIONS)
    for shown in (store, store.location, store.locate("3f2a9c1d", "meta.bin"), store.location.name):
        check_hidden(f"{shown} {shown!r}")
    for frame in (read_metrics(store), read_metadata(store)):
        check_hidden(f"{frame} {frame!r} {frame.expr!r} {frame.expr.tree_repr()}")
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        list(check_store(store, client))
        export_parquet(store, tmp_path / "parquet", client, metadata=True)
    for kind in ("csv", "jsonl", "parquet"):
        export_file(store, None, tmp_path / f"out.{kind}", kind, metadata=True)
    write_report(store, tmp_path / "report.html")
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"_expstore_export.parquet", "report.html", "out.csv"} < {file.name for file in written}
    for file in written:
        check_hidden(file.name)
        check_hidden(file.read_bytes())


def test_a_copy_in_another_process_reaches_the_store(vault: type[VaultFileSystem]) -> None:
    """What is sent there has the whole URL."""
    store = pickle.loads(pickle.dumps(ExperimentStore(URL, storage_options=OPTIONS)))
    assert store.location.address() == URL
    assert "3f2a9c1d" in store.list_experiments()


def test_a_root_that_is_only_a_host_gives_no_name_to_a_report(tmp_path: Path) -> None:
    """The last component of such a URL has the password."""
    assert (
        ExperimentStore("http://alice:hunter2word@127.0.0.1:9").location.name == "***@127.0.0.1:9"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://alice:hunter2word@127.0.0.1:9/x?token=querysecret",
        "nonsense://alice:hunter2word@host/x?token=querysecret",
        "simplecache::nonsense://alice:hunter2word@host/x",
        "ftp://alice:hunter2word@127.0.0.1:9/x",
    ],
)
def test_a_url_that_cannot_be_opened_shows_no_secret(url: str) -> None:
    """The refusal names the host only."""
    with pytest.raises(ExpStoreError) as caught:
        ExperimentStore(url).list_experiments()
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2word" not in shown
    assert "querysecret" not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host:80/a/b", "https://***@host:80/a/b"),
        ("https://token@host/a", "https://***@host/a"),
        ("https://user:p@ss@host/a", "https://***@host/a"),
        ("ftp://user:p/w@host/a", "ftp://***@host/a"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("zip://x.zip::https://user:pw@host/a", "***@host/a"),
        ("simplecache::https://user:pw@host/a", "simplecache::https://***@host/a"),
        ("https:/user:pw@host/a", "https:/***@host/a"),
        ("az://c/x?sv=1&sig=abc", "az://c/x?***"),
        ("403, url='https://h/x?sig=abc'", "403, url='https://h/x?***'"),
        ("memory://a/b", "memory://a/b"),
    ],
)
def test_what_of_a_url_is_shown(url: str, shown: str) -> None:
    """All but the user information, the query and the fragment."""
    assert showable(url).endswith(shown)


def test_short_secrets_do_not_hide_other_words() -> None:
    """A secret of few characters counts only as a word."""
    secrets = Secrets("ftp://bob:abc@host/x")
    assert secrets.mask("abc in abcdef") == "*** in abcdef"


def test_nothing_is_left_of_a_secret_that_begins_with_another() -> None:
    """The longer one is masked first, whichever of them the URL names first."""
    secrets = Secrets("vault://hunter-of-words:hunter-of-words-two@host/x")
    assert secrets.mask("it is hunter-of-words-two") == "it is ***"
    assert secrets.mask("it is hunter-of-words") == "it is ***"


def test_files_of_this_machine_are_no_url(tmp_path: Path) -> None:
    """Through fsspec, links would be followed, and a FIFO waited for."""
    assert ExperimentStore(f"local://{tmp_path}").root == tmp_path
    for url in (
        f"simplecache::file://{tmp_path}",
        f"blockcache::local://{tmp_path}",
        "dir://x::file:///tmp",
    ):
        with pytest.raises(StoreNotFoundError, match=r"give the path|dir"):
            ExperimentStore(url)
