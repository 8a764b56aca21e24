"""What memory problems share: batches, checksums, network, and a whole run with its record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from cellwise.cells.registry import build_cell
from cellwise.records.schema import load_view
from cellwise.tasks import build_task
from cellwise.tasks.memory.adding import Adding
from cellwise.training.settings import read
from cellwise.training.train import train

Memory = Callable[..., dict[str, Any]]


def task_of(config: dict[str, Any]) -> Adding:
    task = build_task("memory", read(config).task)
    assert isinstance(task, Adding)
    return task


def targets(task: Adding, split: Any) -> list[float]:
    return [float(t) for _, batch in task.loader(split) for t in batch]


def test_training_sees_every_sequence_once_an_epoch_in_an_order_of_the_runs_seed(memory: Memory) -> None:
    one, same, other = (task_of(memory(*how)) for how in (["seed=1"], ["seed=1", "cell=gru"], ["seed=2"]))
    drawn = sorted(draw.item() for draw in one._additions["train"].sums)
    orders = [targets(task, "train") for task in (one, same, other)]
    assert [sorted(order) for order in orders] == [drawn] * 3
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_evaluation_sees_every_sequence_once_as_it_was_drawn(memory: Memory, split: Any) -> None:
    for batch in (1, 7, 1000):
        task = task_of(memory(f"task.eval_batch_size={batch}"))
        np.testing.assert_array_equal(targets(task, split), task._additions[split].sums)


def test_the_checksums_are_those_of_the_sequences(memory: Memory) -> None:
    one, same, other = (task_of(memory(*how)).checksums for how in ((), ("seed=5",), ("data.seed=1",)))
    assert sorted(one) == ["adding/test", "adding/train", "adding/valid"]
    assert one == same
    assert len({*one.values(), *other.values()}) == 6
    longer = task_of(memory("data.length=9")).checksums
    assert not set(one.values()) & set(longer.values())


def test_its_network_has_one_recurrent_stack_of_the_cell_and_answers_each_sequence_once(memory: Memory) -> None:
    task = task_of(memory("network.num_layers=2"))
    network = task.network(build_cell("gru"), "auto")
    [layer] = task.recurrent_layers(network)
    assert layer.cell.gates == ("reset", "update", "candidate")
    assert (layer.num_layers, layer.input_size, layer.hidden_size) == (2, 2, 4)
    inputs, batch = next(iter(task.loader("train")))
    assert network(inputs)[0].shape == batch.shape == (20, 1)


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])
def test_a_run_leaves_a_whole_record(memory: Memory, precision: str) -> None:
    folder = train(memory("cell=gru", f"trainer.precision={precision}")).folder
    summary = json.loads((folder / "summary.json").read_text())
    info = json.loads((folder / "run.json").read_text())
    assert (summary["task"], summary["objective"], summary["direction"]) == ("memory", "mse", "min")
    assert summary["value"] == summary["metrics"]["mse"] > 0
    assert 0 <= summary["metrics"]["share_within_0.04"] <= 1
    assert set(summary["floors"]) == {"mean", "second_number"}
    assert summary["optimum"] == 0
    assert summary["throughput"]["unit"] == "sequences/s"
    assert sorted(info["data"]) == ["adding/test", "adding/train", "adding/valid"]
    views = sorted((folder / "views").glob("*.json"))
    assert [load_view(view).name for view in views] == ["answer_by_sum", "error_by_distance"]


def test_state_is_not_carried_from_batch_to_batch(memory: Memory) -> None:
    """Each sequence stands alone: its answer is the same whatever was answered before it."""
    task = task_of(memory())
    network = task.network(build_cell("lstm"), "auto").eval()
    inputs, _ = next(iter(task.loader("test")))
    with torch.no_grad():
        alone = network(inputs[:, 5:6])[0]
        scores, state = task.scores(), None
        for batch in task.loader("test"):
            state = scores.update(network, batch, state)
            assert state is None
        torch.testing.assert_close(task.answers(network, "test")[5:6].float(), alone)
