"""What a run was run with: package versions, git state, and the hash of our own code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path

from cellwise.records.schema import Git

_PACKAGES = ("cellwise", "torch", "pytorch-lightning", "hydra-core", "torchmetrics", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a result."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


# What decides a result besides the cell, which has a hash of its own. A page, a command or another cell does not:
# editing one of those must neither end a resume nor split a comparison.
_DECIDES = ("cells/activations.py", "cells/contract.py", "data", "network", "recurrent", "tasks", "training")


@cache
def code_sha256() -> str:
    """Return the hash of the Python files that decide a result, besides the cell's own code."""
    package = Path(__file__).resolve().parents[1]
    places = [package / name for name in _DECIDES]
    files = [path for place in places for path in ([place] if place.is_file() else sorted(place.rglob("*.py")))]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def git_state() -> Git:
    """Return the commit of the working folder and whether files differ from it; empty outside a repository."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return Git()
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return Git(commit, None if changes is None else bool(changes))


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
