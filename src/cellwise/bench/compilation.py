"""Seconds that compiling takes: of the first training step of each cell beyond a later one, in a fresh process.

torch's cache of compiled graphs is a new folder for the first process (cold) and the same for the second (warm).
`python -m cellwise.bench.compilation` is the process: a JSON line in, a JSON line out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cellwise.errors import CellwiseError

_LATER = 3  # calls, of which the fastest is what a step takes


class Seconds(NamedTuple):
    """Seconds of each cell's graphs, by name, and of the compiler itself: its imports, and a graph of one addition."""

    cells: Mapping[str, float]
    compiler: float


def compile_seconds(cells: Sequence[str], shape: tuple[Any, ...]) -> tuple[Seconds, Seconds]:
    """Return the seconds with an empty cache, and those of a second process.

    Args:
        cells: by name.
        shape: a `Shape`.

    Raises:
        CellwiseError: a process failed.
    """
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (_in_a_process({"cells": list(cells), "shape": list(shape)}, cache) for _ in range(2))
    return cold, warm


def _in_a_process(asked: Mapping[str, Any], cache: str) -> Seconds:
    command = [sys.executable, "-m", "cellwise.bench.compilation"]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
    done = subprocess.run(
        command, input=json.dumps(asked), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise CellwiseError(f"compilation: {last}")
    return Seconds(**json.loads(done.stdout.splitlines()[-1]))


def _measure(asked: Mapping[str, Any]) -> Seconds:
    import torch

    from cellwise.bench.problem import Problem, Shape

    torch.set_num_threads(1)
    compiler = _seconds(_compile_an_addition)
    cells = {}
    for cell in asked["cells"]:
        step = Problem(cell, Shape(*asked["shape"])).ours("fused")
        first = _seconds(step.call)
        cells[cell] = first - min(_seconds(step.call) for _ in range(_LATER))
    return Seconds(cells, compiler)


def _compile_an_addition() -> None:
    import torch
    from torch._inductor import standalone_compile
    from torch.fx.experimental.proxy_tensor import make_fx

    x = torch.zeros(8)
    graph = make_fx(lambda v: (v + 1,))(x)
    standalone_compile(graph, [x], dynamic_shapes="from_example_inputs")(x)


def _seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.stdin.read()))._asdict()))
