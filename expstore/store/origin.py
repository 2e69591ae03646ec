"""Where a run was started: the machine, the command line, and the state of the git repository.

Guarantees: nothing here fails a run; what cannot be found out is left out. What looks like a secret
in the command line is masked. Git is run once in a repository, and changes nothing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from expstore.errors import GitHeadError
from expstore.store.files.showable import HIDDEN, showable
from expstore.store.files.systems.native import own

_ARGUMENTS, _CHARACTERS = 200, 1000  # of the command line that are kept
_PATIENCE = 10.0  # seconds for git, whose repository may be on a slow file system

_STATUS = (
    *("git", "--no-optional-locks", "status", "--porcelain=v2", "--branch"),
    *("--untracked-files=no", "--no-ahead-behind", "--no-renames"),
)
_HEAD = ("git", "rev-parse", "--verify", "--quiet", "HEAD")
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color")
_DIFF = ("git", "diff", "HEAD", "--binary", *_PLAIN)

# As words of a name, such as `--wandb-api-key`; not `--n_tokens`, which is a number.
_SECRET = re.compile(
    r"(?:^|[-_.])(?:password|passwd|passphrase|pwd|secret|token|credentials?|auth|authorization"
    r"|(?:api|access|private|secret|account)[-_.]?key|apikey)$",
    re.IGNORECASE,
)
_NAMED = re.compile(r"""([A-Za-z][\w.-]*)(["']?\s*[=:]\s*["']?)([^\s"',;&}]+)""")
_OPTION = re.compile(r"(-{1,2}[A-Za-z][\w.-]*)=(.*)", re.DOTALL)
_BEARER = re.compile(r"\b(?:bearer|basic)\s+\S+", re.IGNORECASE)
_KNOWN = re.compile(  # the forms of well-known services' keys, and of a JSON web token
    r"\b(?:sk-[\w-]{16,}|gh[a-z]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_\w{16,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|xox[a-z]-[\w-]{10,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]+)"
)


class GitState(NamedTuple):
    """The repository around the working directory; `commit` is empty if there is none.

    `dirty` says whether tracked files differ from the commit; None if git cannot say.
    """

    commit: str = ""
    branch: str = ""
    dirty: bool | None = None


def git_state() -> GitState:
    """The commit at git's HEAD, its branch, and whether tracked files differ from it."""
    commit = branch = ""
    dirty = False
    for line in _git(_STATUS).decode("utf-8", "replace").splitlines():
        key, _, value = line.removeprefix("# ").partition(" ")
        if not line.startswith("# "):
            dirty = True
        elif key == "branch.oid":
            commit = "" if value == "(initial)" else value
        elif key == "branch.head":
            branch = "" if value == "(detached)" else value
    if commit:
        return GitState(commit, branch, dirty)
    # Also where git is too old for these options, or the repository too large to be compared.
    return GitState(_git(_HEAD).decode("ascii", "replace").strip())


def uncommitted_patch() -> bytes:
    """What differs from the commit at HEAD in files that git tracks, for `git apply`."""
    return _git(_DIFF, None)


def git_diff(first: str, second: str) -> bytes | None:
    """What differs between two commits; None if git does not know both here.

    Args:
        first, second: hashes, which the caller has checked to be ones.
    """
    for commit in first, second:
        if not _git(("git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")):
            return None
    return _git(("git", "diff", *_PLAIN, first, second), None)


def _git(command: Iterable[str], patience: float | None = _PATIENCE) -> bytes:
    """What git prints; empty if it fails, as outside a repository."""
    import subprocess  # imported lazily: it would be a tenth of the package's import time

    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):  # also of a child that cannot start git
        return b""
    return b"" if done.returncode else done.stdout


def require_git(state: GitState) -> None:
    """Raise GitHeadError unless there is a commit."""
    if not state.commit:
        raise GitHeadError(
            f"git finds no commit in {os.getcwd()}, and save_patch needs one; leave it out, or "
            "work inside a git repository"
        )


def origin(git: GitState, command: Iterable[str] | None = None) -> dict[str, Any]:
    """The value of `origin` in run.json; see `formats.run`.

    Args:
        git: the repository around the working directory.
        command: the command line; None: this program's.
    """
    found: dict[str, Any] = {
        "host": own.host_name(),
        "python": sys.version.split()[0],
        "expstore": sys.modules[__name__.partition(".")[0]].__version__,
        "argv": masked(getattr(sys, "argv", []) if command is None else command),
    }
    return found | _code(git)


def changed_code(git: GitState, before: Mapping[str, Any]) -> dict[str, Any]:
    """What of the repository is recorded with a start that resumes a run; nothing if it is alike.

    Args:
        git: the repository around the working directory.
        before: the run's `origin`.
    """
    found = _code(git)
    alike = all(before.get(name) == value for name, value in found.items())
    return {} if alike else found


def _code(git: GitState) -> dict[str, Any]:
    """The keys of run.json that say which code ran; those that are unknown are left out."""
    known = {"commit": git.commit, "dirty": git.dirty, "branch": git.branch}
    return {name: value for name, value in known.items() if value not in ("", None)}


def masked(argv: Iterable[str]) -> list[str]:
    """A command line, shortened, with `***` for what looks like a secret.

    That is: the value of an option, or what follows a name, that has a word such as `password` or
    `api_key`; user information and queries of URLs; and what has the form of a known service's key.
    """
    shown: list[str] = []
    hide_next = False
    for argument in map(str, argv):
        if hide_next and not argument.startswith("-"):
            shown.append(HIDDEN)
            hide_next = False
            continue
        hide_next = argument.startswith("-") and _SECRET.search(argument) is not None
        text = _masked(argument)
        shown.append(text if len(text) <= _CHARACTERS else text[:_CHARACTERS] + "...")
        if len(shown) == _ARGUMENTS:
            return [*shown, "..."]
    return shown


def _masked(argument: str) -> str:
    option = _OPTION.fullmatch(argument)
    if option and _SECRET.search(option[1]):
        return f"{option[1]}={HIDDEN}"
    text = _NAMED.sub(
        lambda found: f"{found[1]}{found[2]}{HIDDEN}" if _SECRET.search(found[1]) else found[0],
        _BEARER.sub(HIDDEN, showable(argument)),
    )
    return _KNOWN.sub(HIDDEN, text)
