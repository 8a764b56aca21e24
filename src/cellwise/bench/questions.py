"""Questions a second of visual question answering, of the loader alone and of training; batch 64, 64 units, one thread.

Of shapes_qa as it is (pixels) and with its scenes described (objects), where nearly all is the cell's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from cellwise.bench.parts import Found, Setting
from cellwise.bench.timing import medians_in_turn
from cellwise.cells.registry import build_cell
from cellwise.records.bench import Finding
from cellwise.sweep.plan import plan
from cellwise.tasks import build_task
from cellwise.tasks.contract import Task
from cellwise.training.settings import OptimSettings, read

_CELLS = ("lstm", "gru", "peephole_lstm")
_BATCHES, _ROUNDS = 40, 5
_BATCH = 64
_RUN = (
    *("task=vqa", f"task.batch_size={_BATCH}", "data.valid_questions=1", "data.test_questions=1"),
    f"data.train_questions={_BATCH * _BATCHES}",
)


def measure(setting: Setting) -> Iterator[Found]:
    """Measure questions a second, pixels first."""
    torch.set_num_threads(1)
    for images in ("pixels", "objects"):
        settings = read(plan([*_RUN, f"data.images={images}"])[0].config)
        task = build_task("vqa", settings.task)
        calls = {"loader": _loading(task)}
        calls |= {f"training, {cell}": _training(task, cell, settings.optim) for cell in _CELLS}
        seconds = medians_in_turn(calls, _ROUNDS)
        yield Found(
            findings=[
                Finding("questions", f"shapes_qa, {images}: {name}", _BATCH * _BATCHES / found, "questions/s")
                for name, found in seconds.items()
            ]
        )


def _loading(task: Task) -> Callable[[], None]:
    def run() -> None:
        for _ in task.loader("train"):
            pass

    return run


def _training(task: Task, cell: str, optim: OptimSettings) -> Callable[[], None]:
    network = task.network(build_cell(cell), "auto")
    optimizer = torch.optim.Adam(network.parameters(), lr=optim.learning_rate)

    def run() -> None:
        for batch in task.loader("train"):
            optimizer.zero_grad()
            task.learn(network, batch, None).loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), optim.clip_norm or 0.0)
            optimizer.step()

    return run
