"""Chosen cells on every engine, against torch.nn's modules and, where installed, JAX and torchrecurrent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from cellwise.bench.compared import LSTM, REFERENCE, TORCH_NN, compared, on_every_engine
from cellwise.bench.parts import Found, Setting
from cellwise.bench.peers import CELL, peers
from cellwise.bench.problem import DENSE, Problem, Shape, Step, of_torch
from cellwise.cells.registry import build_cell
from cellwise.records.bench import Finding, Measurement
from cellwise.recurrent.engines import ENGINES

CELLS = (
    *("lstm", "gru", "peephole_lstm", "coupled_lstm"),
    *("no_forget_gate_lstm", "no_input_gate_lstm", "no_output_gate_lstm"),
    *("no_input_activation_lstm", "no_output_activation_lstm", "full_gate_recurrence_lstm"),
)
_FEW, _ON_GPU = ("lstm", "gru", CELL), ("lstm", "gru", CELL, "coupled_lstm")
_SMALL, _GPU = Shape("small", 4, 6, 8), Shape("G", 16, 1024, 768)
# Of nn.LSTM, scaled by products. E: the overhead of a step shows where products are small. G: cuDNN's on a GPU.
_AT_MOST, _AT_MOST_ELSEWHERE = {"E": 1.8, "G": 1.5}, 1.2
_OF_TORCHRECURRENT = 1 / 2.5


def measure(setting: Setting) -> Iterator[Found]:
    """Measure each shape: A to E on a CPU, (16, 1024, 768) in bf16 on a GPU; quickly, one compiled cell and torch's."""
    if setting.device == "cuda":
        yield _told(_on_gpu(setting), setting)
        return
    for shape in [_SMALL] if setting.quick else DENSE.values():
        yield _told(_at(shape, setting), setting)


def _told(found: Found, setting: Setting) -> Found:
    found.findings = [] if setting.quick else findings(found.rows)
    return found


def _at(shape: Shape, setting: Setting) -> Found:
    contests, absent = [], list[str]()
    for cell in _FEW if setting.quick else CELLS:
        problem = Problem(cell, shape)
        uncompiled = setting.quick and cell != CELL
        steps = on_every_engine(problem, ("native",) if uncompiled else tuple(ENGINES))
        if cell in TORCH_NN:
            steps.append(of_torch(problem))
        if cell == CELL:
            others, absent = peers(problem)
            steps += others
        contests.append((problem, steps))
    found = compared("layers", contests, setting)
    found.absent = absent
    return found


def _on_gpu(setting: Setting) -> Found:
    """Results are compared in float32, without TF32; what is timed is bfloat16."""
    found = Found()
    shape = _SMALL if setting.quick else _GPU
    timed: list[tuple[Problem, Sequence[Step]]] = []
    for cell in _ON_GPU:
        exact = Problem(cell, shape, device="cuda")
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found += compared("layers", [(exact, on_every_engine(exact))], setting, baseline=f"{cell} {REFERENCE}")
        problem = Problem(cell, shape, torch.bfloat16, "cuda")
        timed.append((problem, [*on_every_engine(problem), *([of_torch(problem)] if cell in TORCH_NN else [])]))
    found += compared("layers", timed, setting, checked=False)
    return found


def findings(rows: Sequence[Measurement]) -> list[Finding]:
    """Return what the rows of one shape say of the goals."""
    shape = rows[0].shape
    ratios = {
        row.cell: row.ratio_per_product
        for row in rows
        if (row.engine, row.baseline) == ("fused", LSTM) and row.ratio_per_product is not None and _one_product(row)
    }
    found = []
    if ratios:
        worst = max(ratios, key=lambda cell: ratios[cell])
        what = f"{shape}: fused over nn.LSTM per product, worst cell of one product"
        found.append(Finding("layers", what, ratios[worst], "x", _AT_MOST.get(shape, _AT_MOST_ELSEWHERE), worst))
    return [*found, *_against(rows)]


def _one_product(row: Measurement) -> bool:
    return len(build_cell(row.cell).products) == 1


def _against(rows: Sequence[Measurement]) -> list[Finding]:
    """What is faster than another implementation of the same cell."""
    ms = {(row.cell, row.engine): row.ms for row in rows if row.baseline == LSTM}
    told = {
        (CELL, "jax"): ("JAX's scan", 1.0),
        (CELL, "torchrecurrent"): ("torchrecurrent's", _OF_TORCHRECURRENT),
        ("gru", "torch.nn"): ("nn.GRU", 1.0),
    }
    found = []
    for (cell, engine), (name, goal) in told.items():
        ours, theirs = ms.get((cell, "fused")), ms.get((cell, engine))
        if ours is not None and theirs is not None:
            found.append(Finding("layers", f"{rows[0].shape}: fused {cell} over {name}", ours / theirs, "x", goal))
    return found
