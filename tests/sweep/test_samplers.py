"""Optuna's parameters mean the settings of our space, and the other way round."""

from __future__ import annotations

import optuna
import pytest

from cellwise.sweep.phases import Tune
from cellwise.sweep.samplers import OptunaSpace, make_pruner, make_sampler
from cellwise.sweep.space import Range, Space, Values, draw

SPACE: Space = {
    "optim.learning_rate": Range(1e-6, 1e-2, log=True),
    "optim.momentum": Range(0.0, 0.99, log_of_one_minus=True),
    "network.hidden_size": Range(20, 200, log=True, whole=True),
    "network.dropout": Range(0.0, 0.5),
    "optim.clip_norm": Values((1.0, None)),
}


def test_settings_survive_the_way_to_optuna_and_back() -> None:
    space = OptunaSpace(SPACE)
    assert list(space.distributions) == [
        *("optim.learning_rate", "1 - optim.momentum", "network.hidden_size", "network.dropout", "optim.clip_norm")
    ]
    for number in range(200):
        settings = draw(SPACE, 0, number)
        params = space.params(settings)
        assert space.settings(params) == settings
        for name, distribution in space.distributions.items():
            assert distribution._contains(distribution.to_internal_repr(params[name]))


def test_the_ends_of_each_range_are_inside_optunas() -> None:
    space = OptunaSpace(SPACE)
    for end in (0, -1):
        corner = {key: dimension.corners()[end] for key, dimension in SPACE.items()}
        assert space.settings(space.params(corner)) == corner
        for name, distribution in space.distributions.items():
            assert distribution._contains(distribution.to_internal_repr(space.params(corner)[name]))


def test_what_optuna_draws_lies_in_the_space() -> None:
    space = OptunaSpace(SPACE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(100):
        settings = space.settings(study.ask(space.distributions).params)
        assert list(settings) == list(SPACE)
        momentum, units = settings["optim.momentum"], settings["network.hidden_size"]
        assert isinstance(momentum, float)
        assert 0 <= momentum <= 0.99
        assert isinstance(units, int)
        assert 20 <= units <= 200


def test_what_was_not_drawn_stays_missing() -> None:
    assert OptunaSpace(SPACE).settings({"1 - optim.momentum": 0.25}) == {"optim.momentum": 0.75}


@pytest.mark.parametrize(("prune", "kind"), [(None, "NopPruner"), ("median", "MedianPruner")])
def test_a_pruner_is_optunas(prune: None, kind: str) -> None:
    assert type(make_pruner(prune)).__name__ == kind


def test_a_sampler_of_one_trial_draws_the_same_whoever_asks() -> None:
    tune = Tune((0,), "tpe", 20, SPACE, None, (), 0)
    drawn = []
    for name, number in (("a", 12), ("a", 12), ("a", 13), ("b", 12)):
        study = optuna.create_study(sampler=make_sampler(tune, name, number))
        drawn.append(str(study.ask(OptunaSpace(SPACE).distributions).params))
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
