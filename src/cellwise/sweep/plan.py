"""The plan of a sweep: every run it means, each with its configuration and its folder, before any of them starts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from cellwise.errors import CellwiseError
from cellwise.records.identity import run_folder
from cellwise.sweep.compose import Config, compose_config, parse_overrides
from cellwise.tasks import pin_data


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan."""

    config: Config
    folder: Path

    @property
    def label(self) -> str:
        """How a person names it: `lstm seed 3`."""
        return f"{self.config['cell']['name']} seed {self.config['seed']}"


def plan(overrides: Sequence[str], sweep: Mapping[str, Sequence[Any]] | None = None) -> list[PlannedRun]:
    """Return the runs of a sweep, seeds varying slowest, so that every cell has a result early.

    Args:
        overrides: `key=value`; `key=a,b` sweeps, as in Hydra.
        sweep: further keys with their values (a study's); an override of the same key takes its place.

    Raises:
        CellwiseError: an unknown key or choice, a bad value, a seed that is no whole number.
    """
    fixed, swept = _split(overrides, sweep or {})
    seeds = swept.pop("seed", None)
    for key in ("study", "runs_dir"):
        if key in swept:
            raise CellwiseError(f"{key} can't be swept: a sweep is one study in one folder; give one {key}")
    choices = list(_choices(swept))
    if seeds and any("${" in word for words in [fixed, *choices] for word in words):
        # Something follows the seed (data.seed=${seed}), so a configuration has to be composed for each.
        by_seed = [_composed([*fixed, f"seed={seed}"], choices) for seed in seeds]
    else:
        configs = _composed(fixed, choices)
        chosen: Sequence[str | None] = seeds or [None]
        by_seed = [[_with_seed(config, seed) for config in configs] for seed in chosen]
    runs = [PlannedRun(config, run_folder(config)) for same_seed in by_seed for config in same_seed]
    folders = [run.folder for run in runs]
    for run in runs:
        if folders.count(run.folder) > 1:
            raise CellwiseError(f"the sweep means {run.label} twice ({run.folder}); give each value once")
    return runs


def _composed(fixed: Sequence[str], choices: Sequence[list[str]]) -> list[Config]:
    return [pin_data(compose_config([*fixed, *choice])) for choice in choices]


def _split(overrides: Sequence[str], sweep: Mapping[str, Sequence[Any]]) -> tuple[list[str], dict[str, list[str]]]:
    """Overrides with one value, and swept keys with their values as text."""
    swept = {
        key: [_text(v) for v in (values if isinstance(values, list) else [values])] for key, values in sweep.items()
    }
    fixed = []
    for override in parse_overrides(overrides):
        key = override.key_or_group
        swept.pop(key, None)
        if override.is_sweep_override():
            swept[key] = list(_sweep_values(override))
        else:
            fixed.append(override.input_line or "")
    return fixed, swept


def _sweep_values(override: Override) -> Iterator[str]:
    try:
        yield from override.sweep_string_iterator()
    except Exception as error:
        raise CellwiseError(f"can't sweep {override.input_line!r}: {error}") from error


def _choices(swept: Mapping[str, list[str]]) -> Iterator[list[str]]:
    for values in itertools.product(*swept.values()):
        yield [f"{key}={value}" for key, value in zip(swept, values, strict=True)]


def _with_seed(config: Config, seed: str | None) -> Config:
    """The same configuration with another seed; composing again would cost 65 ms a seed."""
    if seed is None:
        return config
    if not seed.lstrip("-").isdigit():
        raise CellwiseError(f"seed={seed!r} must be a whole number, 0 or more")
    return {**json.loads(json.dumps(config)), "seed": int(seed)}


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return str(value)
