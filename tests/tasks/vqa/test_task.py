"""Visual question answering as a task: it learns, its loss is a mean, what probes look at, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.sweep.compose import compose_config
from cellwise.sweep.other_data import with_other_data
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.data_settings import ShapesQA
from cellwise.tasks.vqa.losses import lost
from cellwise.tasks.vqa.network_settings import read_network
from cellwise.tasks.vqa.questions import OUTSIDE
from cellwise.tasks.vqa.settings import VqaKeys, VqaSettings
from cellwise.tasks.vqa.task import VqaTask
from cellwise.training.evaluate import evaluate
from cellwise.training.train import train
from tests.tasks.vqa.made_up import MadeUp


def task_of(loss: Any = "cross_entropy", seed: int = 0, **network: Any) -> VqaTask:
    small = {"hidden_size": 16, "image_channels": [8, 8], "image_summary": "flat", **network}
    settings = VqaSettings(VqaKeys(loss=loss, batch_size=20), ShapesQA(), read_network(small), seed, None)
    questions: dict[Split, Any] = {"train": MadeUp(), "valid": MadeUp(30, 1), "test": MadeUp(30, 2)}
    return VqaTask(settings, questions)


@pytest.mark.parametrize("loss", ["cross_entropy", "soft_target_bce"])
def test_it_overfits_one_batch_on_the_engine_that_auto_chooses(loss: str) -> None:
    torch.manual_seed(0)
    task = task_of(loss)
    batch, network = next(iter(task.loader("train"))), task.network(build_cell("gru"), "auto")
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        task.learn(network, batch, None).loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    known = batch.mode != OUTSIDE
    right = task.answer(network, batch).argmax(1) == batch.mode
    assert known.sum() == 16 and right[known].all()


@pytest.mark.parametrize("loss", ["cross_entropy", "soft_target_bce"])
def test_what_a_step_logs_is_its_loss_and_questions_are_counted(loss: str) -> None:
    task = task_of(loss)
    batch, network = next(iter(task.loader("train"))), task.network(build_cell("rnn"), "reference")
    learned = task.learn(network, batch, None)
    [(total, number)] = learned.sums.values()
    assert learned.loss.item() == pytest.approx(float(total) / number)
    assert learned.examples == 20
    assert learned.weight == number == (16 if loss == "cross_entropy" else 20)


def test_a_batch_whose_answers_are_all_outside_is_learnt_nothing_from() -> None:
    task = task_of()
    batch, network = next(iter(task.loader("train"))), task.network(build_cell("lstm"), "reference")
    learned = task.learn(network, batch._replace(mode=torch.full_like(batch.mode, OUTSIDE)), None)
    learned.loss.backward()  # type: ignore[no-untyped-call]
    assert (learned.loss.item(), learned.weight, learned.examples) == (0.0, 0, 20)
    assert not any(parameter.grad.any() for parameter in network.parameters() if parameter.grad is not None)


def test_train_has_an_order_of_its_own_each_epoch_and_evaluation_goes_from_short_to_long() -> None:
    one, other = task_of().loader("train"), task_of(hidden_size=3).loader("train")
    epochs = [torch.cat([batch.rows for batch in one]) for _ in range(2)]
    assert not torch.equal(*epochs)
    assert torch.equal(torch.cat([batch.rows for batch in other]), epochs[0])
    assert not torch.equal(torch.cat([batch.rows for batch in task_of(seed=1).loader("train")]), epochs[0])
    test = list(task_of().loader("test"))
    assert sorted(torch.cat([batch.rows for batch in test]).tolist()) == list(range(30))
    assert torch.cat([batch.lengths for batch in test]).diff().min() >= 0


def test_probes_look_at_the_longest_questions_and_at_each_ones_own_loss() -> None:
    task = task_of()
    network, probed = task.network(build_cell("gru"), "reference"), task.probed()
    assert len(probed.tokens) == len(probed.batch.words) == probed.batch.lengths.max() == 6
    valid = task.questions["valid"]
    assert probed.tokens == valid.question(int(probed.batch.rows[0])).tokens
    found = task.last_loss(network, probed.batch)
    assert found.shape == (16,)
    alone = valid[probed.batch.rows[[3]].numpy()]
    torch.testing.assert_close(found[[3]], task.last_loss(network, alone))
    assert found.sum().item() == pytest.approx(
        lost("cross_entropy", task.answer(network, probed.batch), probed.batch).of_question.sum().item()
    )


def test_the_best_possible_accuracy_is_that_of_the_answers_there_are() -> None:
    task = task_of()
    best = task.questions["test"][np.arange(30)].credit.amax(1).double().mean()
    assert task.optimum() == pytest.approx(100 * float(best))
    assert 0 < (task.optimum() or 0) < 100


SMALL = (
    *("task=vqa", "cell=gru", "data.train_questions=60", "data.valid_questions=20", "data.test_questions=20"),
    *("data.words_max=9", "network.hidden_size=4", "network.image_channels=8", "trainer.max_steps=2"),
    *("trainer.threads=1", "task.batch_size=16"),
)


@pytest.mark.parametrize(
    "words",
    [
        ("network.sees=image", "probe=full"),
        ("network.sees=question", "network.question_summary=attention"),
        ("network.join=product", "network.image_summary=attention", "network.dropout=0.2", "task.loss=soft_target_bce"),
        ("data.images=objects", "network.num_layers=2", "network.question_summary=states", "probe=full"),
    ],
    ids=["image", "question", "paper", "objects"],
)
def test_a_run_of_every_network_is_recorded_and_a_cell_is_looked_into_where_there_is_one(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    folder = train(compose_config([*SMALL, *words, f"runs_dir={tmp_path}"])).folder
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["objective"] == "accuracy" and 0 <= summary["value"] <= 100
    assert summary["throughput"]["unit"] == "questions/s"
    blind = "network.sees=image" in words
    assert (summary["parameters"]["recurrent"] == 0) is blind and (summary["flops_per_step"] == 0) is blind
    assert bool(list((folder / "views").glob("gate_*.json"))) is (not blind and "probe=full" in words)


def test_a_budget_leaves_a_network_alone_that_has_no_recurrent_layers() -> None:
    """So it stands as a floor beside those that have some, in one study."""
    words = [*SMALL[:-1], "network.hidden_size=null", "budget=params:1k"]
    sizes = [compose_config([*words, f"network.sees={side}"])["network"]["hidden_size"] for side in ("both", "image")]
    assert sizes[0] > 1 and sizes[1] == 1


def test_other_questions_are_answered_in_the_runs_vocabulary_and_other_images_are_refused(tmp_path: Path) -> None:
    config = compose_config([*SMALL, f"runs_dir={tmp_path}"])
    run = train(config).folder
    same = evaluate(run, with_other_data(config, []), "test")
    assert same.value == same.recorded
    other = evaluate(run, with_other_data(config, ["data.seed=3", "data.train_questions=2"]), "test")
    assert other.remarks[0] == "20 questions of test" and other.floors.keys() == same.floors.keys()
    assert other.checksums != same.checksums and set(other.checksums) == {"shapes_qa/test"}
    with pytest.raises(CellwiseError) as caught:
        evaluate(run, with_other_data(config, ["data.images=objects"]), "test")
    assert str(caught.value) == (
        "images are regions of shape [4, 12], but the run's network is made for pixels of [3, 32, 32]"
    )
