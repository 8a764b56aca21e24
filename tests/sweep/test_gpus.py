"""The GPUs that a sweep shares out are those that its user lets it see."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellwise.sweep.gpus import only_gpus, visible_gpus


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


@pytest.mark.parametrize(
    ("place", "devices", "seen"), [(0, 1, "2"), (3, 1, "7"), (4, 1, "2"), (0, 2, "2,4"), (1, 2, "6,7"), (1, 3, "7,2,4")]
)
def test_a_run_sees_as_many_as_it_has_devices(place: int, devices: int, seen: str) -> None:
    assert only_gpus(["2", "4", "6", "7"], place, devices) == {"CUDA_VISIBLE_DEVICES": seen}


def test_a_run_never_sees_one_twice_and_without_gpus_nothing_is_set() -> None:
    assert only_gpus(["0", "1"], 1, 3) == {"CUDA_VISIBLE_DEVICES": "1,0"}  # too few: the run itself refuses
    assert only_gpus([], 1, 2) == {}
