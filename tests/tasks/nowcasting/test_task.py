"""Nowcasting as a task: it learns, its floors are scored as a network is, its views hold what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.records.identity import run_folder
from cellwise.records.schema import Curves, Filmstrip, Table
from cellwise.sweep.compose import compose_config
from cellwise.sweep.other_data import with_other_data
from cellwise.tasks import build_task
from cellwise.tasks.nowcasting.frames import Batch
from cellwise.tasks.nowcasting.losses import lost
from cellwise.tasks.nowcasting.task import NowcastingTask
from cellwise.training.evaluate import evaluate
from cellwise.training.settings import read
from cellwise.training.train import train
from cellwise.training.trained import load_trained

SMALL = (
    *("data.size=16", "data.in_steps=3", "data.lead_steps=2", "data.train_sequences=8", "data.valid_sequences=5"),
    *("data.test_sequences=7", "task.batch_size=4", "task.eval_batch_size=3", "network.hidden_size=4"),
)
RAIN = ("data=synthetic_rain", *SMALL)


def task_of(*words: str) -> NowcastingTask:
    config = compose_config(["task=nowcasting", *words])
    task = build_task("nowcasting", read(config).task)
    assert isinstance(task, NowcastingTask)
    return task


class Last(nn.Module):
    """Says that the last frame stays."""

    def __init__(self, lead: int = 2):
        super().__init__()
        self.lead, self.unused = lead, nn.Parameter(torch.zeros(()))

    def forward(self, frames: Tensor) -> Tensor:
        return frames[-1:].expand(self.lead, *frames.shape[1:])


def test_it_overfits_one_batch() -> None:
    torch.manual_seed(0)
    task = task_of(*SMALL, "network.hidden_size=16", "network.patch_size=2")
    batch, network = next(iter(task.loader("train"))), task.network(build_cell("lstm"), "reference")
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = task.learn(network, batch, None).loss
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]


@pytest.mark.parametrize("words", [SMALL, RAIN], ids=["digits", "rain"])
def test_a_floor_is_scored_as_a_network_that_says_the_same(words: tuple[str, ...]) -> None:
    """Of rain, values on a threshold may fall below it on the way through the network's scale: few, of made-up rain."""
    task = task_of(*words, "task.loss=mse")
    scores = task.scores()
    for batch in task.loader("test"):
        scores.update(Last(), batch, None)
    assert scores.compute()[task.objective.metric] == pytest.approx(task.floors()["persistence"], rel=1e-3)
    expected = {"empty", "persistence"} | ({"lagrangian_true_motion"} if words is RAIN else set())
    assert set(task.floors()) == expected


def test_what_a_step_logs_is_its_loss_and_frames_are_counted() -> None:
    task = task_of(*SMALL)
    network = task.network(build_cell("gru"), "reference")
    batch = next(iter(task.loader("train")))
    learned = task.learn(network, batch, None)
    total, number = learned.sums["cross_entropy_pixel"]
    assert learned.loss.item() == pytest.approx(float(total) / number)
    assert (learned.examples, learned.weight) == (4 * 5, 2 * 4 * 16 * 16)


def test_the_last_loss_is_that_of_the_last_frame_of_each_sequence() -> None:
    task = task_of(*RAIN)
    batch = task.probed().batch
    observed = batch.observed.clone()
    observed[-1, 0, :, :3] = torch.nan
    observed[-1, 1] = torch.nan  # nothing is known of it
    network = task.network(build_cell("gru"), "reference")
    found = task.last_loss(network, batch._replace(observed=observed))
    raw = network(batch.inputs)
    alone = [lost("balanced", raw[-1:, [row]], observed[-1:, [row]], task.field).mean().item() for row in (0, 1, 2)]
    assert found.tolist()[:3] == pytest.approx(alone)
    assert alone[1] == 0


def test_an_epoch_sees_new_sequences_and_every_cell_the_same() -> None:
    one, other = task_of(*SMALL).loader("train"), task_of(*SMALL, "cell=gru").loader("train")
    first, second = ([batch.inputs for batch in one] for _ in range(2))
    assert not torch.equal(torch.cat(first, 1).sort(1).values, torch.cat(second, 1).sort(1).values)
    assert all(torch.equal(a, batch.inputs) for a, batch in zip(first, other, strict=True))


@pytest.mark.parametrize("words", [SMALL, RAIN], ids=["digits", "rain"])
def test_the_views_of_persistence_lie_on_its_floor(words: tuple[str, ...]) -> None:
    task = task_of(*words, "task.loss=mse")
    with torch.inference_mode():
        views = {view.name: view for view in task.views(Last())}
    rain = words is RAIN
    names = ["csi_by_lead_time_1_0.5mm_h"] if rain else ["csi_by_lead_time_1_0.5"]
    for name in [*names, "error_by_lead_time", "detail_by_lead_time"]:
        view = views[name]
        assert isinstance(view, Curves)
        model = view.series[0]
        [floor] = [series for series in view.series if series.name == "persistence"]
        assert model.x.tolist() == ([5.0, 10.0] if rain else [1.0, 2.0])
        np.testing.assert_allclose(model.y, floor.y, rtol=2e-2)
        assert {series.role for series in view.series[1:]} <= {"floor", "optimum"}
    film, table = views["film"], views["scores_by_lead_time"]
    assert isinstance(film, Filmstrip) and isinstance(table, Table)
    observed, forecast, difference = film.frames.astype(np.float32)
    np.testing.assert_allclose(forecast - observed, difference, atol=0.1 if rain else 1e-3)
    np.testing.assert_allclose(forecast[0], forecast[1])
    assert film.roles == ("given", "measured", "difference")
    assert bool(film.levels) is rain
    assert len(table.rows) == 2 * len(task.field.thresholds)


def test_other_rain_is_scored_and_other_frames_are_refused(tmp_path: Path) -> None:
    config = compose_config(["task=nowcasting", *RAIN, "trainer.max_steps=1", f"runs_dir={tmp_path}"])
    run = train(config).folder
    same = evaluate(run, with_other_data(config, []), "test")
    assert same.value == same.recorded or np.isnan(same.recorded)
    found = evaluate(run, with_other_data(config, ["data.size=32", "data.test_sequences=3"]), "test")
    assert found.remarks[0] == "3 sequences of test"
    assert found.floors["persistence"] > 0
    for words, said in (
        (["data=moving_digits"], "the run learnt of rain and data=moving_digits shows pixels"),
        (["data.lead_steps=5"], "data.lead_steps=5, but the run's network is made for 2; give data.lead_steps=2"),
        (["data.size=18"], "network.patch_size=4 does not divide frames of 18 x 18 pixels; allowed: 1, 2, 3, 6, 9"),
    ):
        with pytest.raises(CellwiseError) as caught:
            evaluate(run, with_other_data(config, words), "test")
        assert str(caught.value) == said


@pytest.mark.parametrize(
    "words", [("network=frame_cnn",), ("network=fully_connected",), ("network.dropout=0.2", "probe=full")]
)
def test_a_run_of_every_network_is_recorded(words: tuple[str, ...], tmp_path: Path) -> None:
    common = ("trainer.max_steps=2", f"runs_dir={tmp_path}", "trainer.threads=1")
    folder = train(compose_config(["task=nowcasting", "cell=gru", *SMALL, *common, *words])).folder
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["cell"] == folder.parent.name.rpartition("-")[0] == ("frame_cnn" if "cnn" in words[0] else "gru")
    assert load_trained(folder).network.training is False
    looked = [path.name for path in (folder / "views").glob("gate_*.json")]
    assert bool(looked) is ("probe=full" in words)


def test_a_network_without_a_cell_is_called_what_it_is_and_no_cell_decides_what_the_run_is() -> None:
    """Names of folders become those of tables and legends."""
    named = {}
    for cell in ("gru", "lstm", "lstm cell.forget_bias=0.5"):
        for network in ("frame_cnn", "encoder_forecaster"):
            words = ["task=nowcasting", f"network={network}", *f"cell={cell}".split()]
            named[cell, network] = run_folder(compose_config(words)).parent.name
    assert len({name for (_, network), name in named.items() if network == "frame_cnn"}) == 1
    assert named["gru", "frame_cnn"].startswith("frame_cnn-")
    recurrent = {name for (_, network), name in named.items() if network == "encoder_forecaster"}
    assert sorted(name.rpartition("-")[0] for name in recurrent) == ["gru", "lstm", "lstm"]


def test_missing_pixels_count_nowhere_in_the_scores() -> None:
    task = task_of(*RAIN, "task.loss=mse")
    batch: Any = next(iter(task.loader("test")))
    holed = batch.observed.clone()
    holed[..., :8] = torch.nan
    whole, part = task.scores(), task.scores()
    whole.update(Last(), Batch(*(value[..., 8:] if value.dim() == 5 else value for value in batch)), None)
    part.update(Last(), batch._replace(observed=holed), None)
    for score in ("csi_0.5mm_h", "mae_pixel_mm_h", "hss_0.5mm_h"):
        assert part.compute()[score] == pytest.approx(whole.compute()[score])


def test_what_is_to_be_known_of_the_data_stands_in_the_log_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = NowcastingTask.__init__

    def init(task: NowcastingTask, *arguments: Any) -> None:
        right(task, *arguments)
        task.remarks = ("files skipped: 2",)

    monkeypatch.setattr(NowcastingTask, "__init__", init)
    words = ["task=nowcasting", *SMALL, "trainer.max_steps=1", f"runs_dir={tmp_path}"]
    assert "data: files skipped: 2" in (train(compose_config(words)).folder / "log.txt").read_text()
