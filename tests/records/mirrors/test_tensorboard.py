"""TensorBoard reads back what the record holds, also of a run that was cut off; and says what installs it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

from cellwise.errors import CellwiseError
from cellwise.records.plain import read_json
from cellwise.sweep.compose import compose_config
from cellwise.training.train import train
from tests.training.cut_runs import MEMORY, cut_before

Rows = Callable[[Path], list[dict[str, Any]]]
WORDS = (*MEMORY, "logger=tensorboard")


def read(folder: Path) -> EventAccumulator:
    """As the board itself reads them."""
    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0}).Reload()


def scalars(events: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    tags = [tag for tag in events.Tags()["tensors"] if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"]
    return {tag: [(e.step, make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)] for tag in tags}


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows of a record by name, each value with its step."""
    names = dict.fromkeys(name for row in rows for name in row if name != "step")
    return {name: [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in rows if name in row] for name in names}


def test_it_holds_the_rows_the_test_scores_and_the_configuration(tmp_path: Path, rows_of: Rows) -> None:
    config = compose_config([*WORDS, f"runs_dir={tmp_path}"])
    folder = train(config).folder
    events, summary = read(folder), read_json(folder / "summary.json")
    found = scalars(events)
    tested = {name: found.pop(f"test_{name}") for name in summary["metrics"]}
    assert found == columns(rows_of(folder))
    last = rows_of(folder)[-1]["step"]
    expected: dict[str, Any] = {name: [(last, pytest.approx(value))] for name, value in summary["metrics"].items()}
    assert tested == expected

    [event] = events.Tensors("config")
    said = make_ndarray(event.tensor_proto)[0].decode().removeprefix("```yaml\n").removesuffix("```")
    assert yaml.safe_load(said) == config
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    hparams = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert hparams["optim.learning_rate"].number_value == config["optim"]["learning_rate"]
    assert hparams["cell.name"].string_value == "peephole_lstm"
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info.status == 1  # success


def test_runs_are_named_by_cell_and_seed(tmp_path: Path) -> None:
    names = {str(train(compose_config([*WORDS, f"seed={seed}", f"runs_dir={tmp_path}"])).folder) for seed in (0, 1)}
    board = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "default"))
    assert {str(tmp_path / "default" / name) for name in board.Runs()} == {f"{name}/tensorboard" for name in names}


def test_a_run_that_was_cut_off_has_the_rows_of_the_record_on_a_new_board_and_on_one_that_was_watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of: Rows
) -> None:
    config = compose_config([*WORDS, f"runs_dir={tmp_path}", "trainer.checkpoint_every_seconds=0"])
    with monkeypatch.context() as patch:
        cut_before(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    [folder] = tmp_path.glob("*/*/seed-0")
    watching = read(folder)
    assert scalars(watching)["train_mse"]
    train(config)
    sizes = [path.stat().st_size for path in (folder / "tensorboard").iterdir()]
    assert len(sizes) == 2
    assert min(sizes) == 0
    for events in (read(folder), watching.Reload()):
        found = scalars(events)
        assert {name: found[name] for name in columns(rows_of(folder))} == columns(rows_of(folder))


def test_a_missing_package_is_one_line_that_says_what_to_type_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else real(name))
    with pytest.raises(CellwiseError) as caught:
        train(compose_config([*WORDS, f"runs_dir={tmp_path}"]))
    assert str(caught.value) == "logger=tensorboard needs a package; type `pip install 'cellwise[tensorboard]'`"
    assert list(tmp_path.iterdir()) == []
