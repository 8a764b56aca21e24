"""What a study of two phases means: its combinations, the runs of each trial, and those that confirm what is chosen.

Everything that a user can mistype is tried here, before the first run: each combination with the low and the high end
of everything that is tuned, and each tuned key alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cellwise.errors import CellwiseError
from cellwise.records.identity import called, run_folder
from cellwise.records.plain import to_plain
from cellwise.records.tuning import TUNING, How, Setting
from cellwise.settings import typed
from cellwise.sweep.plan import Pins, Plan, PlannedRun, choice_words, split
from cellwise.sweep.space import Dimension, Space, Values
from cellwise.sweep.study import StudyFile
from cellwise.tasks import read_objective


@dataclass(frozen=True)
class Combination:
    """One combination of the swept keys: what is tuned, with a budget of its own.

    Attributes:
        label: `lstm`; with other swept keys `lstm data.length=50`, with a cell's options where its name is not enough.
        cell: its name.
        swept: the keys with their values, `cell` among them.
        words: its overrides.
        name: the label and 8 hexadecimal digits of all that decides its trials but their number.
    """

    label: str
    cell: str
    swept: Mapping[str, str]
    words: tuple[str, ...]
    name: str


class Tuning:
    """The two phases of a study, planned.

    Args:
        file: of the study; it has phases.
        words: further overrides; that of a tuned key takes its place.

    Attributes:
        tune: the first phase.
        confirm_seeds: of the second.
        folder: the study's, `<runs_dir>/<study>`.
        objective: what trials are judged by, on validation.
        launcher: where and how runs are executed.
        combinations: what is tuned, each alike.

    Raises:
        CellwiseError: an unknown key or choice, a value that is not allowed at an end of the space, a key that decides
            nothing, a library that is missing.
    """

    def __init__(self, file: StudyFile, words: Sequence[str]):
        assert file.phases is not None
        self._pins = Pins()
        self._fixed, swept = split([f"study={file.name}", *file.overrides, *words], file.sweep)
        _refuse([*self._fixed, *(f"{key}={','.join(values)}" for key, values in swept.items())])
        self.tune = replace(file.phases.tune, space=_left(file, file.phases.tune.space, words))
        if self.tune.sampler == "grid":
            sizes = (len(each.values) for each in self.tune.space.values() if isinstance(each, Values))
            self.tune = replace(self.tune, trials=math.prod(sizes))
        else:
            _require_optuna(self.tune.sampler)
        self.confirm_seeds = file.phases.confirm_seeds
        choices = [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
        lowest = self._corner(0)
        first = self._plan(_words(choices[0]), lowest, self.confirm_seeds)
        self.launcher, self.folder = first.launcher, first[0].folder.parents[1]
        self.objective = read_objective(first[0].config)
        self._try_each_key(_words(choices[0]), lowest)
        self.combinations = _shorter([self._combination(choice, lowest) for choice in choices])
        names = [combination.name for combination in self.combinations]
        for combination in self.combinations:
            if names.count(combination.name) > 1:
                raise CellwiseError(f"the sweep means {combination.label} twice; give each value once")

    @property
    def trials(self) -> int:
        """How many trials there are, of all combinations together."""
        return len(self.combinations) * self.tune.trials

    @property
    def tuning_folder(self) -> Path:
        """Where the runs of trials lie, a study of its own inside the study's folder."""
        return self.folder / TUNING

    @property
    def how(self) -> How:
        """How each combination is tuned, as records hold it."""
        space = {key: dimension.record() for key, dimension in self.tune.space.items()}
        t = self.tune
        return How(t.sampler, t.sampler_seed, t.seeds, t.trials, t.prune, t.overrides, space)

    def trial(self, combination: Combination, settings: Mapping[str, Setting]) -> list[PlannedRun]:
        """Return the runs of a trial, one for each seed of tuning, in the folder of tuning.

        Raises:
            CellwiseError: settings that are not allowed together.
        """
        return self._tuning_runs(combination.words, settings)

    def confirming(self, combination: Combination, settings: Mapping[str, Setting]) -> Plan:
        """Return the runs that confirm chosen settings, one for each fresh seed.

        Raises:
            CellwiseError: settings that are not allowed together.
        """
        return self._plan(combination.words, settings, self.confirm_seeds)

    def _plan(self, words: Sequence[str], settings: Mapping[str, Setting], seeds: Sequence[int]) -> Plan:
        chosen = [f"{key}={typed(value)}" for key, value in settings.items()]
        return Plan([*self._fixed, *words, *chosen], {"seed": [str(seed) for seed in seeds]}, self._pins)

    def _tuning_runs(self, words: Sequence[str], settings: Mapping[str, Setting]) -> list[PlannedRun]:
        return [self._moved(run) for run in self._plan([*words, *self.tune.overrides], settings, self.tune.seeds)]

    def _moved(self, run: PlannedRun) -> PlannedRun:
        """The same run in the folder of tuning, a study of its own inside the study."""
        config = {**run.config, "runs_dir": str(self.folder), "study": TUNING}
        return PlannedRun(config, run_folder(config))

    def _corner(self, end: int) -> dict[str, Setting]:
        return {key: dimension.corners()[end] for key, dimension in self.tune.space.items()}

    def _try_each_key(self, words: Sequence[str], lowest: Mapping[str, Setting]) -> None:
        for key, dimension in self.tune.space.items():
            tried = [self._tuning_runs(words, {**lowest, key: value})[0] for value in dimension.corners()]
            if len({run.folder for run in tried}) < len(tried):
                raise CellwiseError(f"{key} can't be tuned: it decides nothing of what a run is")

    def _combination(self, choice: Mapping[str, str], lowest: Mapping[str, Setting]) -> Combination:
        words = _words(choice)
        [run, *_] = self._tuning_runs(words, lowest)
        self._tuning_runs(words, self._corner(-1))
        swept = {"cell": called(run.config), **choice}
        label = " ".join([swept["cell"], *(f"{key}={value}" for key, value in choice.items() if key != "cell")])
        # With more trials the same trials go on; with anything else changed they are others.
        counted = json.dumps([run.folder.parent.name, to_plain(replace(self.how, trials=0))], sort_keys=True)
        name = f"{label}-{hashlib.sha256(counted.encode()).hexdigest()[:8]}"
        return Combination(label, called(run.config), swept, words, name)


def _words(choice: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for key, value in choice.items() for word in choice_words(key, value))


def _shorter(combinations: Sequence[Combination]) -> list[Combination]:
    """Leave out of labels the options that a swept cell brings, where its name alone tells it from the others."""
    short = [each.label.replace(each.swept["cell"], each.cell, 1) for each in combinations]
    if len(set(short)) < len(short):
        return list(combinations)
    return [
        replace(each, label=label, swept={**each.swept, "cell": each.cell})
        for each, label in zip(combinations, short, strict=True)
    ]


def _refuse(words: Sequence[str]) -> None:
    for word in words:
        key, _, value = word.partition("=")
        if key == "seed":
            raise CellwiseError(f"{word}: a study of two phases has tune.seeds=[...] and confirm.seeds=[...]")
        if key == "again" and value.lower() != "false":
            raise CellwiseError(f"{word}: a study of two phases is repeated under another name, study=...")


def _left(file: StudyFile, space: Space, words: Sequence[str]) -> dict[str, Dimension]:
    """What is left to tune, without what is given on the command line."""
    given = {word.partition("=")[0] for word in words}
    fixed = {word.partition("=")[0] for word in file.overrides} | set(file.sweep)
    for key in space:
        if key in fixed and key not in given:
            raise CellwiseError(f"{file.name}: {key} stands in tune.space and in overrides or sweep; give it once")
    left = {key: dimension for key, dimension in space.items() if key not in given}
    if not left:
        raise CellwiseError(f"nothing is left to tune: {', '.join(space)} is given on the command line")
    return left


def _require_optuna(sampler: str) -> None:
    if importlib.util.find_spec("optuna") is None:
        raise CellwiseError(
            f"tune.sampler={sampler} needs Optuna; type pip install 'cellwise[search]', or tune a grid of listed values"
        )
