"""What a configuration is called in tables and legends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cellwise.compare.groups import Group, group_runs
from cellwise.records.store import load_study


def grouped(folder: Path, configurations: dict[str, dict[str, Any]]) -> Group:
    """The group of configurations, given as folder (name-identity) to its settings."""
    for name, config in configurations.items():
        run = folder / "study" / name / "seed-0"
        run.mkdir(parents=True)
        run.joinpath("config.yaml").write_text(yaml.safe_dump({"seed": 0, "study": name, **config}))
    (group,) = group_runs(load_study(folder / "study"))
    return group


def labels(folder: Path, configurations: dict[str, dict[str, Any]]) -> list[str]:
    """Their names."""
    return list(grouped(folder, configurations).labels.values())


def gru(reset: str, **settings: Any) -> dict[str, Any]:
    return {"cell": {"name": "gru", "reset": reset}, "network": {"hidden_size": 8, "layer": settings}}


def test_one_configuration_is_called_by_its_cell(tmp_path: Path) -> None:
    assert labels(tmp_path, {"gru-00000000": gru("after"), "lstm-00000000": gru("before")}) == ["gru", "lstm"]


def test_several_are_called_by_what_differs_between_them(tmp_path: Path) -> None:
    several = {"gru-00000000": gru("after"), "gru-11111111": gru("before"), "lstm-00000000": {}}
    assert labels(tmp_path, several) == ["gru reset=after", "gru reset=before", "lstm"]


def test_keys_of_groups_in_groups_have_their_last_name(tmp_path: Path) -> None:
    several = {"gru-00000000": gru("after", zoneout=0.1), "gru-11111111": gru("before", zoneout=0.0)}
    assert labels(tmp_path, several) == ["gru reset=after zoneout=0.1", "gru reset=before zoneout=0.0"]


@pytest.mark.parametrize(
    "other", [gru("after"), gru("before", zoneout=0.1, chrono=20)], ids=["the_same_settings", "more_than_a_name_holds"]
)
def test_where_settings_make_no_name_the_identity_does(tmp_path: Path, other: dict[str, Any]) -> None:
    several = {"gru-00000000": gru("after"), "gru-11111111": other}
    assert labels(tmp_path, several) == ["gru-00000000", "gru-11111111"]


def test_values_in_a_name_are_as_they_are_typed(tmp_path: Path) -> None:
    several = {"gru-00000000": gru("after", layer_norm=True), "gru-11111111": gru("after", layer_norm=False)}
    assert labels(tmp_path, several) == ["gru layer_norm=true", "gru layer_norm=false"]


def test_a_name_that_is_an_identity_is_explained_by_what_differs(tmp_path: Path) -> None:
    several = {
        "gru-00000000": gru("after", zoneout=0.1, chrono=20),
        "gru-11111111": gru("before", zoneout=0.0, chrono=None),
        "lstm-00000000": {},
    }
    assert grouped(tmp_path, several).explained == {
        "gru-00000000": "cell.reset=after, network.layer.chrono=20, network.layer.zoneout=0.1",
        "gru-11111111": "cell.reset=before, network.layer.chrono=null, network.layer.zoneout=0.0",
    }


def test_where_no_setting_differs_the_code_does(tmp_path: Path) -> None:
    several = {"gru-00000000": gru("after"), "gru-11111111": gru("after")}
    said = "no setting differs, so the code of gru does"
    assert grouped(tmp_path, several).explained == {"gru-00000000": said, "gru-11111111": said}


def test_a_name_that_says_enough_is_not_explained(tmp_path: Path) -> None:
    assert grouped(tmp_path, {"gru-00000000": gru("after"), "gru-11111111": gru("before")}).explained == {}


def test_runs_under_way_are_with_what_they_measure_though_none_has_finished(
    study_folder: Path, add_run: Callable[..., Path], made_up_run_info: Callable[..., dict[str, Any]]
) -> None:
    measured = {"task": "memory", "objective": "accuracy", "direction": "max", "unit": "%"}
    for cell in ("gru", "lstm"):
        add_run(study_folder / f"{cell}-99999999" / "seed-0", made_up_run_info(cell, 0, status="running", **measured))
    language, memory = group_runs(load_study(study_folder))
    assert (language.objective, memory.objective) == ("perplexity", "accuracy")
    assert [(run.cell, run.identity) for run in memory.runs] == [("gru", "99999999"), ("lstm", "99999999")]
    assert len(language.runs) == 25
