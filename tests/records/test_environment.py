"""The record names the versions, the commit and the code that decided a result."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import cellwise
from cellwise.records import environment
from cellwise.records.environment import code_sha256, git_state, versions
from cellwise.records.schema import Git


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_versions_are_those_that_run() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert found["cellwise"] == cellwise.__version__


def test_the_commit_is_that_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_state() == Git(None, None)
    git(tmp_path, "init", "-q")
    assert git_state() == Git(None, None)  # no commit yet
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "new").write_text("what a run leaves does not make the code dirty")
    assert git_state() == Git(head, False)
    (tmp_path / "file").write_text("two")
    assert git_state() == Git(head, True)


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() == Git(None, None)


def test_the_hash_of_the_code_follows_every_file_that_decides_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "cellwise"
    shutil.copytree(Path(environment.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(environment, "__file__", str(package / "records" / "environment.py"))
    uncached = code_sha256.__wrapped__
    original = uncached()
    assert original == code_sha256()
    (package / "training" / "notes.txt").write_text("no code")
    for other in ("report/page.py", "cli.py", "cells/gru.py"):  # a page, a command, a cell, which has its own hash
        (package / other).write_text("")
    assert uncached() == original
    file = package / "training" / "seeds.py"
    file.write_text(file.read_text() + "\n")
    assert uncached() != original
    file.rename(file.with_name("seed.py"))
    file.with_name("seed.py").write_text(file.with_name("seed.py").read_text()[:-1])
    assert uncached() != original  # the same content under another name
