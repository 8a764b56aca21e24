"""A space, a sampler and a pruner as Optuna has them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning

from cellwise.records.tuning import Setting
from cellwise.sweep.phases import Pruner, Tune
from cellwise.sweep.space import Dimension, Space, Values

STARTUP = 10  # trials of TPE that are drawn at random, Optuna's default; the same for every cell, as in random search


class OptunaSpace:
    """A space as Optuna's parameters: it knows no logarithm of 1 - value, so it chooses that difference.

    Args:
        space: what may be chosen.

    Attributes:
        distributions: by Optuna's names, in the order of the space.
    """

    def __init__(self, space: Space):
        self._space = space
        self._names = {key: f"1 - {key}" if _is_one_minus(dimension) else key for key, dimension in space.items()}
        self.distributions = {self._names[key]: _distribution(dimension) for key, dimension in space.items()}

    def params(self, settings: Mapping[str, Setting]) -> dict[str, Any]:
        """Return settings as parameters."""
        return {
            self._names[key]: 1 - float(value or 0) if _is_one_minus(self._space[key]) else value
            for key, value in settings.items()
        }

    def settings(self, params: Mapping[str, Any]) -> dict[str, Setting]:
        """Return parameters as settings; what is missing (its launcher was killed while it drew) stays missing."""
        return {
            key: _setting(dimension, params[self._names[key]])
            for key, dimension in self._space.items()
            if self._names[key] in params
        }


def make_pruner(prune: Pruner | None) -> optuna.pruners.BasePruner:
    """Return Optuna's pruner with Optuna's settings.

    `median` ends a run whose best value of validation so far is worse than the median of what finished trials had at
    that step, from the sixth trial on; `halving` lets the best quarter go on at each of a row of steps that grow
    fourfold (Li et al. 2020, arXiv 1810.05934).
    """
    if prune is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner() if prune == "median" else optuna.pruners.SuccessiveHalvingPruner()


def make_sampler(tune: Tune, name: str, number: int) -> optuna.samplers.BaseSampler:
    """Return a sampler for one trial, so that what it draws follows from the trial and what came before, not who asks.

    Args:
        tune: how.
        name: of the combination.
        number: of the trial.
    """
    if tune.sampler == "random":
        return optuna.samplers.RandomSampler(seed=0)  # asked for nothing: each setting is given
    words = f"{tune.sampler_seed} {name} {number}"
    seed = int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna 4 calls constant_liar so
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Values):
        return CategoricalDistribution(dimension.values)
    if dimension.log_of_one_minus:
        return FloatDistribution(1 - dimension.high, 1 - dimension.low, log=True)
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _setting(dimension: Dimension, param: Any) -> Setting:
    if isinstance(dimension, Values) or dimension.whole:
        setting: Setting = param
        return setting
    return dimension.near(1 - param if dimension.log_of_one_minus else param)


def _is_one_minus(dimension: Dimension) -> bool:
    return not isinstance(dimension, Values) and dimension.log_of_one_minus
