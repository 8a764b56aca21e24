"""Peak memory of one training step: of a fresh process, by the kernel's own high-water mark.

The mark (VmHWM of /proc/self/status, Linux) counts everything: tensors, oneDNN's scratch, Python's objects. It is set
back just before the step (`5` into /proc/self/clear_refs), after a short run has compiled and loaded what the step
needs. glibc keeps freed memory for itself, and would hide growth in it; a fixed threshold of mmap makes it give large
tensors back at once. What is taken away from the growth are the results: output and gradients, which anyone must hold.

`python -m cellwise.bench.peak` is the process: a JSON line in, a JSON line out.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cellwise.errors import CellwiseError

_STATUS, _MARK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MMAP_FROM = str(64 * 1024)  # bytes
_SHORT = 2  # steps of the run before: graphs are compiled for one step, whatever their number


class Peak(NamedTuple):
    """Bytes: of the growth beyond inputs and results, and of the output among these."""

    beyond: int
    output: int


def peak_of(cell: str, engine: str, shape: tuple[Any, ...], **options: Any) -> Peak | str:
    """Return the peak of one step in a process of its own, or a line that says why there is none.

    Args:
        cell: by name.
        engine: ours, or the usual module, or torch.nn.
        shape: a `Shape`.
        options: of our layer.

    Raises:
        CellwiseError: the process failed.
    """
    if not _MARK.exists():
        return "peak memory is measured on Linux alone"
    command = [sys.executable, "-m", "cellwise.bench.peak"]
    asked = json.dumps({"cell": cell, "engine": engine, "shape": list(shape), "options": options})
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": _MMAP_FROM, "MALLOC_TRIM_THRESHOLD_": _MMAP_FROM}
    done = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise CellwiseError(f"peak memory of {cell} {engine}: {last}")
    return Peak(**json.loads(done.stdout.splitlines()[-1]))


def needed(cell: str, shape: tuple[Any, ...]) -> int:
    """Return the bytes of all gates and states over all steps in float32, the output among them."""
    from cellwise.bench.problem import Shape
    from cellwise.cells.registry import build_cell

    built = build_cell(cell)
    return 4 * math.prod(Shape(*shape).input) * (len(built.gates) + len(built.states))


def _measure(asked: Mapping[str, Any]) -> Peak:
    import torch

    from cellwise.bench.problem import Problem, Shape, Step, of_torch
    from cellwise.bench.usual_convolution import ENGINE, of_usual

    torch.set_num_threads(1)
    shape = Shape(*asked["shape"])

    def step_at(steps: int) -> Step:
        problem = Problem(asked["cell"], shape._replace(steps=steps))
        if asked["engine"] == ENGINE:
            return of_usual(problem)
        return of_torch(problem) if asked["engine"] == "torch.nn" else problem.ours(asked["engine"], **asked["options"])

    step_at(_SHORT).call()
    step = step_at(shape.steps)
    _MARK.write_text("5", encoding="ascii")
    before = _kilobytes("VmRSS")
    output, gradients = step.call()
    grown = 1024 * (_kilobytes("VmHWM") - before)
    held = sum(value.numel() * value.element_size() for value in (output, *gradients))
    return Peak(max(0, grown - held), output.numel() * output.element_size())


def _kilobytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.stdin.read()))._asdict()))
