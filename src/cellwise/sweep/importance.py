"""Which setting matters: functional ANOVA of a search's trials (Hutter, Hoos and Leyton-Brown 2014, PMLR 32).

A random forest is fitted to what the trials scored on validation; of its variance over the whole space a share is due
to each setting alone, and what is left to settings together.

Differences: Optuna's evaluator gives the shares of single settings, so their interactions are not told apart. It lays
the space out linearly, and a list of values as columns of ones and noughts that can't all occur; it is given the places
in the space instead (`cellwise.sweep.space`). So a range on a logarithmic scale counts by its logarithm, as in the
authors' code, and each value of a list by its part.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from cellwise.errors import CellwiseError
from cellwise.records.tuning import Importance, Trial
from cellwise.sweep.space import Space

LEAST_TRIALS = 8  # below, a forest says nothing


def importance(space: Space, trials: Sequence[Trial]) -> Importance:
    """Return the shares of validation's variance, of finished trials alone.

    Raises:
        CellwiseError: why there are none: too few trials, all alike, or a library that is missing.
    """
    finished = [trial for trial in trials if trial.state == "finished"]
    if len(finished) < LEAST_TRIALS:
        raise CellwiseError(f"{len(finished)} trials finished, and {LEAST_TRIALS} are the least that say anything")
    if len({trial.validation for trial in finished}) == 1:
        raise CellwiseError("all trials scored the same")
    for name in ("optuna", "sklearn"):  # the second is what Optuna's evaluator grows its forest with
        if importlib.util.find_spec(name) is None:
            raise CellwiseError(f"{name} is missing; type pip install 'cellwise[search]'")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    distributions: dict[str, Any] = {key: optuna.distributions.FloatDistribution(0.0, 1.0) for key in space}
    for trial in finished:
        params = {key: dimension.place(trial.settings[key]) for key, dimension in space.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=trial.validation))
    found = optuna.importance.FanovaImportanceEvaluator(seed=0).evaluate(study)
    alone = {key: float(found[key]) for key in space}
    return Importance(alone, max(0.0, 1.0 - sum(alone.values())), len(finished))
