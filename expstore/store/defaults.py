"""Defaults: the store, the commit of the working directory, the login name."""

from __future__ import annotations

import getpass
import os

from expstore.errors import GitHeadError


def default_root() -> str:
    """The store where none is named: $EXPSTORE_ROOT, a path or a URL; else ./experiments."""
    return os.environ.get("EXPSTORE_ROOT") or "experiments"


def git_head() -> str:
    """The full hash of the commit that git's HEAD names, in the working directory.

    Raises:
        GitHeadError: no git, no repository, or no commit yet.
    """
    import subprocess  # only here: it is a tenth of what importing the package takes

    hint = "give a commit_id, or work inside a git repository with a commit"
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise GitHeadError(f"git cannot be run ({error.strerror}); {hint}") from error
    if done.returncode:
        raise GitHeadError(f"git names no commit in {os.getcwd()}; {hint}")
    return done.stdout.strip()


def login_name() -> str:
    """The login name, or the empty text where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
