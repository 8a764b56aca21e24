"""The GPUs that a sweep shares out are those that its user lets it see."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellwise.sweep.gpus import visible_gpus


@pytest.mark.parametrize(("said", "expected"), [("", []), ("0", ["0"]), ("2, 5", ["2", "5"]), ("GPU-1a,", ["GPU-1a"])])
def test_what_cuda_may_see_counts(monkeypatch: pytest.MonkeyPatch, said: str, expected: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert visible_gpus() == expected


def test_else_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []  # no driver
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\necho 'GPU 1: NVIDIA H200 (UUID: GPU-2)'\n")
    program.chmod(0o755)
    assert visible_gpus() == ["0", "1"]
