"""What a run is judged by is known before torch is imported, and is what the task itself is judged by."""

from __future__ import annotations

import math
from pathlib import Path

from cellwise.sweep.compose import compose_config
from cellwise.tasks import build_task, read_objective, read_task
from cellwise.tasks.objective import Objective


def agree(words: list[str]) -> bool:
    config = compose_config(words)
    return read_objective(config) == build_task(config["task"]["name"], read_task(config)).objective


def test_the_settings_name_the_objective_of_the_task(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("to be or not to be " * 400)
    assert agree(["task=language"])
    assert agree(["data=text", f"data.path={tmp_path / 'text.txt'}", "task.level=character"])
    assert agree(["task=memory", "data.train_sequences=2", "data.valid_sequences=2", "data.test_sequences=2"])


def test_the_better_of_two_values_follows_the_direction_and_is_never_nan() -> None:
    less, more = Objective("error", "min", ""), Objective("accuracy", "max", "%")
    assert (less.better(1.0, 2.0), less.better(2.0, 1.0), less.better(1.0, 1.0)) == (True, False, False)
    assert (more.better(1.0, 2.0), more.better(2.0, 1.0), more.better(1.0, 1.0)) == (False, True, False)
    assert not less.better(math.nan, 1.0)
    assert not more.better(math.nan, 1.0)
