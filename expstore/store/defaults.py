"""Defaults: the store's root, the commit id, the user; and paths as people type them.

Guarantees: no directory is named after a `~` or a variable that someone meant to be expanded.
"""

from __future__ import annotations

import getpass
import os
import re

from expstore.errors import GitHeadError, StoreNotFoundError


def default_root() -> str:
    """The default store: $EXPSTORE_ROOT, a path or a URL; else ./experiments.

    Raises:
        StoreNotFoundError: see `expand`.
    """
    return expand(os.environ.get("EXPSTORE_ROOT") or "experiments")


def expand(root: str | os.PathLike[str]) -> str:
    """A root as a person types it, with `~`, `$NAME` and `${NAME}` replaced as by a shell.

    A shell does so itself, except after `=` and in quotes, and in a file of settings. A URL is left
    as it is.

    Raises:
        StoreNotFoundError: there is no such user or variable, nor a path that is spelled like that.
    """
    text = os.fspath(root)
    if "://" in text:
        return text
    expanded = os.path.expanduser(os.path.expandvars(text))
    left = re.match(r"~[^/]*", expanded) or re.search(r"\$\w+|\$\{[^}]*\}", expanded)
    if left and not os.path.lexists(expanded):
        what = "home directory" if left[0].startswith("~") else "variable"
        raise StoreNotFoundError(f"{text}: there is no {what} {left[0]}")
    return expanded


def git_head() -> str:
    """The full hash of the commit at git's HEAD, in the working directory.

    Raises:
        GitHeadError: no git, no repository, or no commit yet.
    """
    import subprocess  # imported lazily: it would be a tenth of the package's import time

    hint = "give a commit_id, or work inside a git repository that has a commit"
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise GitHeadError(f"git cannot be run ({error.strerror}); {hint}") from error
    if done.returncode:
        raise GitHeadError(f"git finds no commit in {os.getcwd()}; {hint}")
    return done.stdout.strip()


def login_name() -> str:
    """The login name, or an empty string if the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
