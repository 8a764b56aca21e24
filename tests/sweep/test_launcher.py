"""The group `launcher`: the file and the code say the same defaults, and what is typed wrong is told in one line."""

from __future__ import annotations

import dataclasses
import math

import pytest
import yaml

from cellwise.errors import CellwiseError
from cellwise.resources import resource_folder
from cellwise.sweep.compose import compose_both
from cellwise.sweep.launcher import Launcher, LauncherSettings, SlurmSettings, read_launcher
from cellwise.sweep.plan import plan


def launcher(*words: str) -> Launcher:
    return read_launcher(compose_both(words)[1])


@pytest.mark.parametrize(("name", "settings"), [("local", LauncherSettings()), ("slurm", SlurmSettings())])
def test_a_choice_has_the_defaults_of_its_settings(name: str, settings: Launcher) -> None:
    text = (resource_folder("conf") / "launcher" / f"{name}.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == dataclasses.asdict(settings)
    assert launcher(f"launcher={name}") == settings


def test_a_launcher_is_no_part_of_what_a_run_is(tiny_words: list[str]) -> None:
    [local], [slurm] = plan(tiny_words), plan([*tiny_words, "launcher=slurm", "launcher.minutes=5"])
    assert local == slurm


def test_more_options_of_sbatch_are_given_by_name() -> None:
    found = launcher("launcher=slurm", "launcher.extra={qos:high,mail-type:END,nice:100}")
    assert isinstance(found, SlurmSettings)
    assert found.extra == {"qos": "high", "mail-type": "END", "nice": 100}


@pytest.mark.parametrize(("words", "most"), [("end", math.inf), ("fast", 0), ("max:3", 3)])
def test_so_many_runs_may_fail(words: str, most: float) -> None:
    for name in ("local", "slurm"):
        assert launcher(f"launcher={name}", f"launcher.failures={words}").failures_allowed == most


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["launcher=pbs"], "unknown launcher 'pbs'; allowed: local, slurm"),
        (["launcher.name=pbs"], "unknown launcher.name 'pbs'; allowed: local, slurm"),
        (["launcher=slurm", "launcher.jobs=2"], "unknown key in 'launcher' 'jobs'; allowed: account, at_once, "),
        (["launcher=slurm", "launcher.minutes=0"], "launcher.minutes=0 is too small; it must be 1 or more"),
        (
            ["launcher=slurm", "launcher.extra=high"],
            "launcher.extra='high' must be values by name, for example launcher.extra={name:value}",
        ),
        (["launcher.failures=none"], "launcher.failures=none is not allowed; allowed: end, fast, max:N, for "),
        (["launcher.failures=max:some"], "launcher.failures=max:some is not allowed; allowed: end, fast, max:N"),
    ],
)
def test_what_is_not_allowed_is_one_line(words: list[str], told: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        launcher(*words)
    assert str(caught.value).startswith(told)
