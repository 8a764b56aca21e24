"""A made-up bench: two cells on two engines at two shapes, one memory row, two findings."""

from __future__ import annotations

from pathlib import Path

from cellwise.records.bench import Bench, BenchRecord, Finding, Measurement
from cellwise.records.schema import Git

SHAPES = {"A": (20, 35, 200), "E": (128, 50, 32)}
MS = {("lstm", "torch.nn"): 8.0, ("peephole_lstm", "reference"): 16.0, ("peephole_lstm", "fused"): 10.0}


def made_up(folder: Path) -> Bench:
    rows = [
        Measurement(
            "layers",
            cell,
            engine,
            shape,
            *sizes,
            rounds=5,
            ms=ms,
            iqr_ms=0.5,
            baseline="lstm torch.nn",
            ratio=ms / 8,
            ratio_per_product=ms / 8,
            disagreement=None if engine == "reference" else 1e-7,
        )
        for shape, sizes in SHAPES.items()
        for (cell, engine), ms in MS.items()
    ]
    rows += [
        Measurement("steps", "peephole_lstm", "fused", f"T={steps}", 20, steps, 128, ms=0.1 * steps)
        for steps in (50, 500)
    ]
    rows.append(Measurement("memory", "lstm", "torch.nn", "C", 64, 128, 128, peak_bytes=3 << 20, needed_bytes=2 << 20))
    findings = [
        Finding("layers", "A: <worst>", 1.25, "x", 1.2, "peephole_lstm"),
        Finding("startup", "cellwise --help", 0.05, "s"),
    ]
    record = BenchRecord(
        started="2026-11-28T10:00:00+00:00",
        ended="2026-11-28T10:05:00+00:00",
        command="cellwise bench",
        device="cpu",
        machine="a made-up machine",
        cores=2,
        threads=1,
        versions={"torch": "2.13.0"},
        git=Git("abc", dirty=False),
        gflops={"torch.mm": 100.0},
        load=(0.5, 1.0),
        parts=("layers", "steps", "memory", "startup"),
        disagreement={"lstm fused": 1e-7, "lstm native": 1e-8},
        absent=("jax is not installed",),
    )
    return Bench(folder, record, rows, findings)
