"""Probing a run changes no bit of it, and what it shows survives whatever happens to the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cellwise.cells.registry import build_cell, cell_names
from cellwise.errors import CellwiseError
from cellwise.probes.probe import is_moment
from cellwise.records.schema import Curves, Heatmap, Table, View, load_view
from cellwise.training.checkpoint import saved
from cellwise.training.extend import extend
from cellwise.training.train import train
from tests.training.cut_runs import LANGUAGE, MEMORY, bits, configured, cut_before

BOTH = pytest.mark.parametrize("words", [MEMORY, LANGUAGE], ids=["memory", "language"])
TWO_WAYS = ("task=memory", *MEMORY[1:], "network.bidirectional=true")


def probed(place: Path, *words: str) -> Path:
    """The folder of a run."""
    return train(configured(place, *words)).folder


def views_of(folder: Path) -> dict[str, View]:
    """Those that are about the cell."""
    found = [load_view(path) for path in sorted((folder / "views").glob("*.json"))]
    return {view.name: view for view in found if view.about == "cell"}


def view_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "views").iterdir()}


def last_state(folder: Path) -> tuple[Any, ...]:
    """Weights, optimiser and what the module carries, of the checkpoint of the last step."""
    kept = torch.load(saved(folder / "checkpoints")[-1], weights_only=True)
    optimizer = kept["optimizer_states"][0]["state"]
    return (
        {name: value.tolist() for name, value in kept["state_dict"].items()},
        {n: {name: value.tolist() for name, value in state.items()} for n, state in optimizer.items()},
        str(kept["cellwise"]["ranks"]),
    )


def test_moments_are_two_for_each_doubling_whatever_the_length_of_the_run() -> None:
    moments = [step for step in range(1000) if is_moment(step)]
    assert moments == [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]


@BOTH
@pytest.mark.parametrize("level", ["light", "full"])
def test_weights_rows_and_scores_are_those_of_a_run_that_is_not_probed(
    words: tuple[str, ...], level: str, tmp_path: Path
) -> None:
    """With dropout, zoneout and two layers, and in language carried state; validation between the steps."""
    words = (*words, "trainer.validate_every_steps=2", "network.layer.recurrent_dropout=0.1")
    off, on = probed(tmp_path / "off", *words), probed(tmp_path / "on", *words, f"probe={level}")
    assert off.relative_to(tmp_path / "off") == on.relative_to(tmp_path / "on")
    assert bits(on) == bits(off)
    assert last_state(on) == last_state(off)
    assert views_of(on) and not views_of(off)
    shared = view_bytes(off)
    assert {name: content for name, content in view_bytes(on).items() if name in shared} == shared
    assert set(json.loads((on / "run.json").read_text())["times_seconds"]) == {"setup", "train", "test", "probe"}


@pytest.mark.parametrize("cell", cell_names())
def test_every_cell_has_the_views_that_its_declaration_asks_for(cell: str, tiny: Callable[..., Any]) -> None:
    config = tiny(f"cell={cell}", "probe=full", "trainer.max_steps=3")
    shown = views_of(train(config).folder)
    built = build_cell(cell)
    expected = {f"along_sequence_state_{state}" for state in built.states}
    expected |= {f"along_sequence_gate_{gate}" for gate in built.gates}
    expected |= {f"gate_{gate}_over_training" for gate in built.gates}
    expected |= {"gradient_against_lag_at_start", "gradient_against_lag_at_the_end"}
    expected |= {"singular_values", "step_jacobian"} | ({"half_life"} if built.retention else set())
    assert expected <= set(shown)
    for view in shown.values():
        match view:
            case Curves():
                assert all(math.isfinite(y) or math.isnan(y) for s in view.series for y in s.y.tolist())
                assert any(math.isfinite(y) for s in view.series for y in s.y.tolist()), view.name
            case Heatmap():
                assert view.values.size and math.isfinite(view.values.sum()), view.name
            case Table():
                assert len(view.rows) == 2
    lag = shown["gradient_against_lag_at_start"]
    assert isinstance(lag, Curves)
    assert [series.name for series in lag.series] == list(built.states)
    output = lag.series[0].y
    assert output[0] > 0 and math.isfinite(output[0])  # what is predicted reads the output


@pytest.mark.parametrize(
    "words", [(*TWO_WAYS, "probe=full"), (*LANGUAGE, "probe=full")], ids=["both directions", "two layers"]
)
def test_every_layer_and_direction_has_views_of_its_own(words: tuple[str, ...], tmp_path: Path) -> None:
    shown = views_of(probed(tmp_path, *words))
    endings = ["", "_layer_2"]
    if "network.bidirectional=true" in words:
        endings = ["", "_layer_1_backward", "_layer_2", "_layer_2_backward"]
    kinds = {name for name in shown if "layer" not in name} - {"step_jacobian"}
    assert kinds
    assert {f"{kind}{ending}" for kind in kinds for ending in endings} == set(shown) - {"step_jacobian"}
    table = shown["step_jacobian"]
    assert isinstance(table, Table) and len(table.rows) == 2 * len(endings)
    assert shown["half_life"].title.endswith(", layer 1")


def test_light_leaves_out_the_jacobian_and_nothing_else(tmp_path: Path) -> None:
    light, full = (set(views_of(probed(tmp_path / level, *MEMORY, f"probe={level}"))) for level in ("light", "full"))
    assert full - light == {"singular_values", "singular_values_layer_2", "step_jacobian"}
    assert light <= full


def test_gates_are_seen_at_every_moment_and_after_the_last_step(tmp_path: Path) -> None:
    view = views_of(probed(tmp_path, *MEMORY, "probe=light"))["gate_forget_over_training"]
    assert isinstance(view, Heatmap)
    assert view.x_values.tolist() == ["0", "1", "2", "3", "4", "6", "8", "10"]


def test_the_text_stands_beneath_units_of_a_language_model(tmp_path: Path) -> None:
    view = views_of(probed(tmp_path, *LANGUAGE, "probe=light"))["along_sequence_state_h"]
    assert isinstance(view, Heatmap)
    assert len(view.words) == len(view.x_values) > 10
    assert "." in view.words


def test_the_marked_numbers_stand_beneath_units_of_the_adding_problem(tmp_path: Path) -> None:
    view = views_of(probed(tmp_path, *MEMORY, "probe=light"))["along_sequence_state_c"]
    assert isinstance(view, Heatmap)
    assert sum(word.startswith("0.") for word in view.words) == 2
    assert len(view.words) == 4


def test_a_cell_from_outside_has_all_of_it_with_nothing_written(write_cell: Any, tiny: Callable[..., Any]) -> None:
    file = write_cell("leaky")
    shown = views_of(train(tiny(f"cell_modules=[{file}]", "cell=leaky", "probe=full")).folder)
    assert set(shown) == {
        *("along_sequence_gate_candidate", "along_sequence_state_h"),
        *("gate_candidate_over_training", "gate_candidate_at_its_ends"),
        *("gradient_against_lag_at_start", "gradient_against_lag_at_the_end", "singular_values", "step_jacobian"),
    }


@BOTH
def test_cut_off_at_any_step_it_has_the_views_of_a_run_that_was_not(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*words, "probe=full")
    whole = probed(tmp_path / "whole", *words)
    for step in (1, 2, 3, 5, 7, 9):
        with monkeypatch.context() as patch:
            cut_before(patch, step)
            with pytest.raises(KeyboardInterrupt):
                probed(tmp_path / f"cut_{step}", *words)
        folder = probed(tmp_path / f"cut_{step}", *words)
        assert "goes on from step-" in (folder / "log.txt").read_text()
        assert view_bytes(folder) == view_bytes(whole), step
        assert bits(folder) == bits(whole)


def test_cut_off_after_its_last_step_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cellwise.training.module import TrainingModule

    whole = probed(tmp_path / "whole", *MEMORY, "probe=full")
    with monkeypatch.context() as patch:

        def cut(module: TrainingModule) -> None:
            raise KeyboardInterrupt

        patch.setattr(TrainingModule, "on_test_epoch_end", cut)
        with pytest.raises(KeyboardInterrupt):
            probed(tmp_path / "cut", *MEMORY, "probe=full")
    folder = probed(tmp_path / "cut", *MEMORY, "probe=full")
    assert "goes on from step-000000010" in (folder / "log.txt").read_text()
    assert view_bytes(folder) == view_bytes(whole)


@BOTH
def test_an_extended_run_has_the_views_of_one_that_long_from_the_start(words: tuple[str, ...], tmp_path: Path) -> None:
    words = (*words, "probe=full", "trainer.max_steps=8", "trainer.max_epochs=null")
    whole = probed(tmp_path / "whole", *words, "trainer.max_steps=13")
    extended = extend(probed(tmp_path / "short", *words), steps=13).folder
    assert view_bytes(extended) == view_bytes(whole)


@pytest.mark.parametrize(("before", "after"), [("off", "full"), ("light", "full"), ("full", "off")])
def test_a_run_that_goes_on_is_looked_at_as_it_began_or_not_at_all(
    before: str, after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cut_before(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            probed(tmp_path, *MEMORY, f"probe={before}")
    folder = probed(tmp_path, *MEMORY, f"probe={after}")
    assert not views_of(folder)
    told = f"probe={after} has no effect: the run began with probe={before}; again=true starts over"
    assert (told in (folder / "log.txt").read_text()) is (after != "off")


def test_a_finished_run_is_skipped_and_told_that_it_was_not_probed(tmp_path: Path) -> None:
    def note(*words: str) -> str:
        return train(configured(tmp_path, *MEMORY, *words)).note

    unprobed = "finished already, skipped; probe=light has no effect: it was not probed (again=true repeats it)"
    note()
    assert note("probe=light") == unprobed
    assert note() == "finished already, skipped (again=true repeats it)"
    assert not note("probe=light", "again=true").startswith("finished")
    assert note("probe=light") == note("probe=full") == "finished already, skipped (again=true repeats it)"


def test_a_level_that_there_is_not_is_one_line_that_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(CellwiseError) as error:
        probed(tmp_path, *MEMORY, "probe=heavy")
    assert str(error.value) == "probe=heavy is not allowed; allowed: off, light, full"
    assert not list(tmp_path.iterdir())


def test_of_several_processes_the_first_looks_alone(tmp_path: Path) -> None:
    on = probed(tmp_path / "on", *MEMORY, "trainer.devices=2", "probe=full")
    assert set(views_of(on)) == set(views_of(probed(tmp_path / "one", *MEMORY, "probe=full")))
    assert "has no effect" not in (on / "log.txt").read_text()


@pytest.mark.slow
def test_of_several_processes_it_changes_nothing_either(tmp_path: Path) -> None:
    words = (*MEMORY, "trainer.devices=2")
    assert bits(probed(tmp_path / "on", *words, "probe=full")) == bits(probed(tmp_path / "off", *words))


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_in_other_precisions_too(precision: str, tmp_path: Path) -> None:
    words = (*MEMORY, f"trainer.precision={precision}")
    off, on = probed(tmp_path / "off", *words), probed(tmp_path / "on", *words, "probe=full")
    assert bits(on) == bits(off)
    assert views_of(on)


def test_a_run_that_diverges_and_goes_on_has_views(tmp_path: Path) -> None:
    words = (*LANGUAGE, "cell=rnn", "optim.learning_rate=1e30", "optim.clip_norm=null", "trainer.non_finite=go_on")
    shown = views_of(probed(tmp_path, *words, "probe=full"))
    table = shown["step_jacobian"]
    assert isinstance(table, Table)
    assert len(table.rows) == 4
