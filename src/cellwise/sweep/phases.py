"""The two phases of a study: settings are tuned on validation for each cell, then confirmed with fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cellwise.errors import CellwiseError, unknown
from cellwise.sweep.space import Space, Values, parse_space

Sampler = Literal["grid", "random", "tpe"]
Pruner = Literal["median", "halving"]

_TUNE = ("seeds", "sampler", "trials", "prune", "overrides", "sampler_seed", "space")
# What decides a trial's settings, or how its runs are found again; they have a place of their own in a study.
_NEVER_TUNED = ("seed", "study", "runs_dir", "data_dir", "again", "cell_modules", "cell", "task", "launcher", "logger")


@dataclass(frozen=True)
class Tune:
    """The first phase.

    Attributes:
        seeds: of each trial; several are averaged.
        sampler: grid: each combination of listed values; random: the same settings for every cell; tpe: Optuna's.
        trials: for each swept combination.
        space: what is tuned.
        prune: ends runs early that fall behind; None: none.
        overrides: `key=value` for tuning alone.
        sampler_seed: another one draws other settings.
    """

    seeds: tuple[int, ...]
    sampler: Sampler
    trials: int
    space: Space
    prune: Pruner | None
    overrides: tuple[str, ...]
    sampler_seed: int


@dataclass(frozen=True)
class Phases:
    """Both: how settings are tuned, and the seeds that confirm the chosen ones, none of them used in tuning."""

    tune: Tune
    confirm_seeds: tuple[int, ...]


def parse_phases(content: Mapping[str, Any], where: str) -> Phases | None:
    """Return the phases that a study's file holds; None: it has one phase and tunes nothing.

    Args:
        content: of the file.
        where: the file, for errors.

    Raises:
        CellwiseError: one phase without the other, an unknown key, a value that is not allowed, seeds used twice.
    """
    tune, confirm = content.get("tune"), content.get("confirm")
    if tune is None and confirm is None:
        return None
    if not isinstance(tune, dict) or not isinstance(confirm, dict):
        raise CellwiseError(
            f"{where}: a study of two phases needs both, tune: {{sampler: ..., space: ...}} and "
            "confirm: {seeds: [10, 11, 12]}"
        )
    if "seed" in (content.get("sweep") or {}):
        raise CellwiseError(f"{where}: the seeds of two phases stand in tune.seeds and confirm.seeds, not in sweep")
    for key in confirm:
        if key != "seeds":
            raise unknown(f"key in {where}: confirm", str(key), ["seeds"])
    phases = Phases(_tune(tune, where), _seeds(confirm.get("seeds"), f"{where}: confirm.seeds"))
    both = sorted(set(phases.tune.seeds) & set(phases.confirm_seeds))
    if both:
        raise CellwiseError(f"{where}: seed {both[0]} is one of tuning and can't confirm; give confirm.seeds others")
    return phases


def _tune(group: Mapping[str, Any], where: str) -> Tune:
    for key in group:
        if key not in _TUNE:
            raise unknown(f"key in {where}: tune", str(key), _TUNE)
    sampler = _listed(group.get("sampler"), Sampler, f"{where}: tune.sampler")
    prune = _listed(group.get("prune"), Pruner, f"{where}: tune.prune", None)
    space = parse_space(group.get("space"), f"{where}: tune.space")
    for key in space:
        if key.split(".")[0] in _NEVER_TUNED and not key.startswith(("cell.", "task.")):
            raise CellwiseError(f"{where}: {key} can't be tuned; what cells are compared in stands in sweep")
    if sampler == "grid" and prune is not None:
        raise CellwiseError(f"{where}: tune.prune needs sampler random or tpe; a grid runs each combination to its end")
    overrides = group.get("overrides") or []
    if not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
        raise CellwiseError(f"{where}: tune.overrides must be a list of key=value, for example [trainer.max_epochs=2]")
    return Tune(
        seeds=_seeds(group.get("seeds", [0]), f"{where}: tune.seeds"),
        sampler=sampler,
        trials=_trials(group.get("trials"), sampler, space, where),
        space=space,
        prune=prune,
        overrides=tuple(overrides),
        sampler_seed=_whole(group.get("sampler_seed", 0), f"{where}: tune.sampler_seed", 0),
    )


def _trials(given: Any, sampler: Sampler, space: Space, where: str) -> int:
    if sampler != "grid":
        return _whole(given, f"{where}: tune.trials", 1)
    if given is not None:
        raise CellwiseError(f"{where}: tune.trials is for random and tpe; a grid has a trial for each combination")
    sizes = []
    for key, dimension in space.items():
        if not isinstance(dimension, Values):
            raise CellwiseError(f"{where}: a grid needs values, for example {key}: [0.001, 0.01], not a range")
        sizes.append(len(dimension.values))
    return math.prod(sizes)


def _seeds(given: Any, where: str) -> tuple[int, ...]:
    if not isinstance(given, list) or not given:
        raise CellwiseError(f"{where}={given!r} must be a list of seeds, for example [10, 11, 12]")
    seeds = tuple(_whole(seed, where, 0) for seed in given)
    if len(set(seeds)) < len(seeds):
        raise CellwiseError(f"{where} has a seed twice; give each seed once")
    return seeds


def _whole(given: Any, where: str, minimum: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < minimum:
        raise CellwiseError(f"{where}={given!r} must be a whole number, {minimum} or more")
    return given


def _listed(given: Any, kind: Any, where: str, *more: Any) -> Any:
    allowed = (*get_args(kind), *more)
    if given not in allowed:
        names = ", ".join("null" if name is None else name for name in allowed)
        raise CellwiseError(f"{where}={given!r} is not allowed; allowed: {names}")
    return given
