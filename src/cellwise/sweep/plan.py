"""The plan of a sweep: every run it means, each with its configuration and its folder.

A plan is made while its runs run: composing takes 65 ms a configuration. So each value of each swept key is tried once
at the start, which finds what a user mistypes, and the combinations are composed as they are asked for.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from hydra.core.override_parser.types import Override

from cellwise.errors import CellwiseError
from cellwise.records.identity import called, run_folder
from cellwise.sweep.compose import Config, compose_both, parse_overrides
from cellwise.sweep.launcher import Launcher, read_launcher
from cellwise.tasks import pin_data
from cellwise.training.settings import read


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan."""

    config: Config
    folder: Path

    @property
    def label(self) -> str:
        """How a person names it: `lstm seed 3`."""
        return f"{called(self.config)} seed {self.config['seed']}"


class Pins:
    """What the user's data held when they were first planned with; read once, for all runs of a study.

    So a text that changes under a study is refused when a run begins, and not taken for the text of later runs.
    """

    def __init__(self) -> None:
        self._data: dict[str, Config] = {}  # by what a configuration says of them

    def pinned(self, config: Config) -> Config:
        """Return a configuration with the checksum of its data."""
        said = json.dumps(config["data"], sort_keys=True)
        if said not in self._data:
            self._data[said] = pin_data(config)["data"]
        return {**config, "data": self._data[said]}


class Plan(Sequence[PlannedRun]):
    """The runs of a sweep, seeds varying slowest, so that every cell has a result early; made as they are asked for.

    Attributes:
        launcher: where and how they are executed.
    """

    def __init__(self, fixed: Sequence[str], swept: Mapping[str, Sequence[str]], pins: Pins | None = None):
        self._fixed, self._pins = fixed, pins or Pins()
        self._swept = {key: values for key, values in swept.items() if key != "seed"}
        self._seeds: Sequence[str | None] = swept.get("seed") or [None]
        # Where something follows the seed (data.seed=${seed}), a configuration is composed for each.
        self._follows = any("${" in word for words in (fixed, *self._swept.values()) for word in words)
        self._composed: dict[tuple[str, ...], tuple[Config, Launcher]] = {}
        self._made: list[PlannedRun] = []
        self._known: set[Path] = set()
        self._coming = self._runs()
        _check_seeds(self._seeds)
        self._try_each_value()
        self.launcher = self._compose(self._first())[1]

    def __len__(self) -> int:
        return len(self._seeds) * math.prod(map(len, self._swept.values()))

    @overload
    def __getitem__(self, k: int) -> PlannedRun: ...

    @overload
    def __getitem__(self, k: slice) -> list[PlannedRun]: ...

    def __getitem__(self, k: int | slice) -> PlannedRun | list[PlannedRun]:
        """Return a run, or several.

        Raises:
            CellwiseError: values that are allowed one by one and not together, or that mean one run twice.
        """
        if isinstance(k, slice):
            return [self[number] for number in range(*k.indices(len(self)))]
        number = range(len(self))[k]
        while len(self._made) <= number:
            run = next(self._coming)
            if run.folder in self._known:
                raise _twice(run)
            self._known.add(run.folder)
            self._made.append(run)
        return self._made[number]

    def _runs(self) -> Iterator[PlannedRun]:
        for seed in self._seeds:
            for values in itertools.product(*self._swept.values()):
                config = self._config(values, seed)
                yield PlannedRun(config, run_folder(config))

    def _config(self, values: tuple[str, ...], seed: str | None) -> Config:
        if seed is None or self._follows:
            return self._compose(values, seed)[0]
        return {**json.loads(json.dumps(self._compose(values)[0])), "seed": int(seed)}

    def _compose(self, values: tuple[str, ...], seed: str | None = None) -> tuple[Config, Launcher]:
        words = [word for key, value in zip(self._swept, values, strict=True) for word in choice_words(key, value)]
        words += [] if seed is None else [f"seed={seed}"]
        known = self._composed.get(tuple(words))
        if known is None:
            config, launcher = compose_both([*self._fixed, *words])
            config = self._pins.pinned(config)
            run_folder(config)  # a seed or a study that can't be one, in the words that a swept one is told in
            read(config)
            known = self._composed[tuple(words)] = (config, read_launcher(launcher))
        return known

    def _first(self) -> tuple[str, ...]:
        return tuple(values[0] for values in self._swept.values())

    def _try_each_value(self) -> None:
        """Compose each value of each key beside the first values of the others."""
        for place, values in enumerate(self._swept.values()):
            folders = set()
            for value in values:
                tried = list(self._first())
                tried[place] = value
                config = self._config(tuple(tried), self._seeds[0])
                run = PlannedRun(config, run_folder(config))
                if run.folder in folders:
                    raise _twice(run)
                folders.add(run.folder)


def plan(overrides: Sequence[str], sweep: Mapping[str, Sequence[Any]] | None = None) -> Plan:
    """Return the runs of a sweep.

    Args:
        overrides: `key=value`; `key=a,b` sweeps, as in Hydra.
        sweep: further keys with their values (a study's); an override of the same key takes its place.

    Raises:
        CellwiseError: an unknown key or choice, a bad value, a seed that is no whole number.
    """
    fixed, swept = split(overrides, sweep or {})
    for key in ("study", "runs_dir"):
        if key in swept:
            raise CellwiseError(f"{key} can't be swept: a sweep is one study in one folder; give one {key}")
    for key in swept:
        if key.split(".")[0] == "launcher":
            raise CellwiseError(f"{key} can't be swept: it is no part of what a run is; give one value")
    return Plan(fixed, swept)


def split(overrides: Sequence[str], sweep: Mapping[str, Sequence[Any]]) -> tuple[list[str], dict[str, list[str]]]:
    """Return overrides with one value, and swept keys with their values as text; see `plan`."""
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


def choice_words(key: str, value: str) -> list[str]:
    """Return the overrides that a swept value means: one, and those that it brings.

    In a study a value may bring overrides of its own, as they would be typed after it: `coupled_lstm
    cell.peepholes=true` among the cells. Other values that hold blanks are one override.
    """
    first, *others = value.split(" ")
    brings = others and all(re.match(r"[a-z_][\w.]*=", word) for word in others)
    return [f"{key}={first}", *others] if brings else [f"{key}={value}"]


def _sweep_values(override: Override) -> Iterator[str]:
    try:
        yield from override.sweep_string_iterator()
    except Exception as error:
        raise CellwiseError(f"can't sweep {override.input_line!r}: {error}") from error


def _check_seeds(seeds: Sequence[str | None]) -> None:
    """A seed is put into a configuration without composing it again, so nobody else checks it."""
    known = set()
    for seed in seeds:
        if seed is None:
            continue
        if not seed.isdecimal():
            shown = seed if seed.lstrip("-").isdecimal() else repr(seed)
            raise CellwiseError(f"seed={shown} must be a whole number, 0 or more")
        if int(seed) in known:
            raise CellwiseError(f"the sweep means seed {seed} twice; give each value once")
        known.add(int(seed))


def _twice(run: PlannedRun) -> CellwiseError:
    return CellwiseError(f"the sweep means {run.label} twice ({run.folder}); give each value once")


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return str(value)
