"""What a bench's rows show, as views: one folder a label (`views/<label>/<part>.<what>[.<variant>].json`).

A label is an engine where cells lie along an axis, else a cell with its engine.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from cellwise.records.bench import Bench, Measurement
from cellwise.records.schema import Axis, Column, Curves, Heatmap, Series, Table, View, save_view

Labelled = tuple[str, View]
Value = str | int | float
_PER_PRODUCT = "time over nn.LSTM's, per product"
_LSTM = "lstm torch.nn"  # the baseline of dense shapes
_MIB = 2**20


def save_views(bench: Bench) -> None:
    """Write the views of all rows in place of those that were there."""
    shutil.rmtree(bench.path / "views", ignore_errors=True)
    for label, view in views(bench.rows):
        save_view(view, bench.path / "views" / label)


def views(rows: Sequence[Measurement]) -> Iterator[Labelled]:
    """Return every view with its label."""
    kinds: dict[str, Callable[[Sequence[Measurement]], Iterable[Labelled]]] = {
        "layers": _layers,
        "registry": _ratios,
        "images": _images,
        "steps": _steps,
        "memory": _memory,
        "replicas": _replicas,
    }
    for part, show in kinds.items():
        if of_part := [row for row in rows if row.part == part]:
            yield from show(of_part)


def _layers(rows: Sequence[Measurement]) -> Iterator[Labelled]:
    yield from _ratios(rows)
    shapes = _unique(row.shape for row in rows)
    for engine in ("fused", "reference"):
        here = [row for row in rows if (row.engine, row.baseline) == (engine, _LSTM)]
        ratios = {(row.cell, row.shape): row.ratio_per_product for row in here}
        cells = _unique(cell for cell, _ in ratios)[::-1]  # the first on top
        if len(shapes) < 2 or not cells:
            continue
        values = [[_or_nan(ratios.get((cell, shape))) for shape in shapes] for cell in cells]
        yield (
            engine,
            Heatmap(
                "layers.field",
                "Cells and shapes",
                "Where is a cell far from the library's kernel?",
                Axis("shape", scale="category"),
                Axis("cell", scale="category"),
                Axis(_PER_PRODUCT, "x"),
                np.array(shapes),
                np.array(cells),
                np.array(values),
            ),
        )


def _ratios(rows: Sequence[Measurement]) -> Iterator[Labelled]:
    """By shape and engine, every cell's ratio."""
    for shape in _unique(row.shape for row in rows):
        for engine in _unique(row.engine for row in rows):
            here = [row for row in rows if (row.shape, row.engine, row.baseline) == (shape, engine, _LSTM)]
            if here:
                yield engine, _dots(f"{here[0].part}.ratio.{shape}", here, [_or_nan(r.ratio_per_product) for r in here])


def _dots(name: str, rows: Sequence[Measurement], y: Sequence[float]) -> Curves:
    first = rows[0]
    sizes = f"batch {first.batch}, {first.steps} steps, hidden {first.hidden}"
    return Curves(
        name,
        "Training step of each cell against nn.LSTM",
        f"How far is each cell from the library's kernel, were its products as many? ({first.shape}: {sizes})",
        Axis("cell", scale="category"),
        Axis(_PER_PRODUCT, "x", scale="log"),
        (Series("", np.array([row.cell for row in rows]), np.array(y)),),
        marks="dots",
    )


def _images(rows: Sequence[Measurement]) -> Iterator[Labelled]:
    columns = ("shape", "batch", "steps", "image", "step (ms)", "over the usual module", "peak memory (MiB)")
    told = [
        (
            f"{row.cell} {row.engine}",
            (row.shape, row.batch, row.steps, f"{row.image}x{row.image}", _or_nan(row.ms), _or_nan(row.ratio)),
            _mib(row.peak_bytes),
        )
        for row in rows
    ]
    question = "Is a convolution of [x, h] a step, under autograd, faster or smaller?"
    yield from _tables(
        "images.cost", "Convolutional cells", question, columns, [(n, (*t, peak)) for n, t, peak in told]
    )


def _steps(rows: Sequence[Measurement]) -> Iterator[Labelled]:
    timed = [row for row in rows if row.ms is not None]
    x = Axis("steps", scale="log")
    for name in _unique(f"{row.cell} {row.engine}" for row in timed):
        here = [row for row in timed if f"{row.cell} {row.engine}" == name]
        steps, ms = [row.steps for row in here], [_or_nan(row.ms) for row in here]
        by_step = [1e3 * value / n for value, n in zip(ms, steps, strict=True)]
        question = "Does the cost grow as the number of steps?"
        for what, title, y, values in (
            ("cost", "Cost of a training step against its number of time steps", Axis("time", "ms", scale="log"), ms),
            ("each", "Cost of one time step", Axis("time a time step", "us", scale="log"), by_step),
        ):
            yield name, Curves(f"steps.{what}", title, question, x, y, (Series("", np.array(steps), np.array(values)),))
    question = "What does the first training step cost beyond a later one?"
    columns = ("steps", "cache empty (s)", "second process (s)")
    told = [
        (row.cell, (row.steps, _or_nan(row.compile_cold_s), _or_nan(row.compile_warm_s)))
        for row in rows
        if row.compile_cold_s is not None
    ]
    yield from _tables("steps.compilation", "Compilation", question, columns, told)


def _memory(rows: Sequence[Measurement]) -> Iterator[Labelled]:
    columns = ("shape", "peak (MiB)", "gates and states (MiB)", "peak and output over gates and states")
    question = "What does a training step hold beyond its inputs and results, at its peak?"
    told = [
        (f"{row.cell} {row.engine}", (row.shape, _mib(row.peak_bytes), _mib(row.needed_bytes), _or_nan(row.ratio)))
        for row in rows
    ]
    yield from _tables("memory.peak", "Peak memory", question, columns, told)


def _replicas(rows: Sequence[Measurement]) -> Iterator[Labelled]:
    columns = ("runs", "step (ms)", "over one run on its fastest engine")
    question = "What do several runs of one small layer cost against one?"
    told = [(f"{row.cell} {row.engine}", (row.replicas, _or_nan(row.ms), _or_nan(row.ratio))) for row in rows]
    yield from _tables("replicas.cost", "Several seeds at once", question, columns, told)


def _tables(
    name: str, title: str, question: str, columns: Sequence[str], told: Sequence[tuple[str, tuple[Value, ...]]]
) -> Iterator[Labelled]:
    """A table a label, of its rows."""
    for label in _unique(of for of, _ in told):
        rows = tuple(row for of, row in told if of == label)
        yield label, Table(name, title, question, tuple(Column(column) for column in columns), rows)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _mib(value: int | None) -> float:
    return math.nan if value is None else value / _MIB
