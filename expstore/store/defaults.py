"""Defaults: the store's root, the commit id, the user."""

from __future__ import annotations

import getpass
import os

from expstore.errors import GitHeadError


def default_root() -> str:
    """The default store: $EXPSTORE_ROOT, a path or a URL; else ./experiments."""
    return os.environ.get("EXPSTORE_ROOT") or "experiments"


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
