"""A bench from its parts to its record: `runs/bench/<time>/` with a CSV a part, views and a page."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cellwise.bench.parts import PARTS, Device, Found, Setting, chosen, measure
from cellwise.bench.views import save_views
from cellwise.errors import CellwiseError, RunFailedError
from cellwise.files import now
from cellwise.machine import cores
from cellwise.records.bench import Bench, BenchRecord, Finding, Measurement, write_bench
from cellwise.records.environment import git_state, versions
from cellwise.report.bench import write_bench_page

_THREADS = 1


def bench(names: Sequence[str], setting: Setting, out: Path | None = None) -> Path:
    """Measure parts one after the other; print each piece, and write the record after it.

    Args:
        names: of parts; all that fit the setting where none.
        setting: how much, and where.
        out: the folder; `runs/bench/<time in UTC>` when None.

    Returns:
        The folder.

    Raises:
        CellwiseError: an unknown part, no GPU where one is asked for, a folder that can't be written.
        RunFailedError: something that was timed does not agree with the reference; the record says what, too.
    """
    parts = chosen(names, setting)
    machine = _machine(setting.device)
    folder = out or Path("runs", "bench", f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}")
    record, found = _started(_command(names, setting), setting, machine), Found()
    for name in parts:
        print(f"{name}: {PARTS[name].title}", flush=True)
        record = replace(record, parts=(*record.parts, name))
        for piece in measure(name, setting):
            for line in lines(piece):
                print(f"  {line}", flush=True)
            found += piece
            record = replace(record, ended=now(), load=(record.load[0], _load()))
            record = replace(
                record, absent=tuple(found.absent), wrong=tuple(found.wrong), disagreement=disagreements(found.rows)
            )
            _write(Bench(folder, record, found.rows, found.findings))
    page = write_bench_page(folder, folder / "report.html")
    print(f"record: {folder}\npage: {page}")
    if found.wrong:
        raise RunFailedError(f"{len(found.wrong)} results are wrong: {'; '.join(found.wrong)}")
    return folder


def lines(found: Found) -> list[str]:
    """Return a part in words: a line a row, a finding, and what is absent or wrong."""
    return [
        *(_row(row) for row in found.rows),
        *(_finding(one) for one in found.findings),
        *(f"absent: {line}" for line in found.absent),
        *(f"WRONG: {line}" for line in found.wrong),
    ]


def _row(row: Measurement) -> str:
    several = f" x{row.replicas}" if row.replicas > 1 else ""
    told = [f"{row.shape:22} {row.cell + ' ' + row.engine + several:42}"]
    if row.ms is not None:
        told.append(f"{row.ms:9.2f} ms ±{(row.iqr_ms or 0) / 2:<7.2f}")
    if row.ratio is not None:
        told.append(f"{row.ratio:6.2f}x")
    if row.ratio_per_product is not None and row.baseline.endswith("torch.nn"):
        told.append(f"{row.ratio_per_product:6.2f}x per product")
    if row.compile_cold_s is not None and row.compile_warm_s is not None:
        told.append(f"compiled in {row.compile_cold_s:.2f} s, from torch's cache in {row.compile_warm_s:.2f} s")
    if row.peak_bytes is not None:
        told.append(f"peak {row.peak_bytes / 2**20:.1f} MiB")
    return " ".join(told)


def _finding(one: Finding) -> str:
    goal = "" if one.goal is None else f" (goal: at most {one.told(one.goal)}{'' if one.reached else ', MISSED'})"
    note = f": {one.note}" if one.note else ""
    return f"{one.what}: {one.told(one.value)}{goal}{note}"


def disagreements(rows: Iterable[Measurement]) -> dict[str, float]:
    """Return the largest disagreement of each cell on each engine."""
    found: dict[str, float] = {}
    for row in rows:
        if row.disagreement is not None:
            name = f"{row.cell} {row.engine}"
            found[name] = max(row.disagreement, found.get(name, 0.0))
    return found


def _write(bench: Bench) -> None:
    try:
        write_bench(bench)
        save_views(bench)
    except OSError as error:
        raise CellwiseError(f"can't write {bench.path}: {error.strerror}; give a folder of yours with --out") from error


def _started(command: str, setting: Setting, machine: str) -> BenchRecord:
    import torch

    from cellwise.bench.yardstick import gflops

    torch.set_num_threads(_THREADS)
    return BenchRecord(
        started=now(),
        ended=now(),
        command=command,
        device=setting.device,
        machine=machine,
        cores=cores(),
        threads=_THREADS,
        versions=_versions(),
        git=git_state(),
        gflops={} if setting.quick else gflops(setting.device),
        load=(_load(), _load()),
        quick=setting.quick,
    )


def _command(names: Sequence[str], setting: Setting) -> str:
    """What to type for the same, wherever it is written."""
    options = [f"--{name}" for name in ("quick", "full") if getattr(setting, name)]
    options += [] if setting.device == "cpu" else [f"--device {setting.device}"]
    return " ".join(["cellwise bench", *names, *options])


def _versions() -> dict[str, str]:
    import importlib.metadata

    found = versions()
    for package in ("jax", "jaxlib", "torchrecurrent"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _machine(device: Device) -> str:
    """The processor's or the GPU's name."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise CellwiseError(
                "--device cuda: torch finds no NVIDIA GPU here; run it on a machine with one and a CUDA build of torch"
            )
        return torch.cuda.get_device_name()
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        named = None
    return named[1] if named else platform.processor() or platform.machine()


def _load() -> float:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else float("nan")
