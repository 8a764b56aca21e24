"""A whole configuration is checked before anything runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest

from cellwise.errors import CellwiseError
from cellwise.recurrent.engines import ENGINES
from cellwise.training.settings import TrainerSettings, read

Tiny = Callable[..., dict[str, Any]]


def test_settings_are_typed_and_complete(tiny: Tiny) -> None:
    settings = read(tiny("cell=gru", "cell.reset=before", "optim.learning_rate=1", "seed=4"))
    assert (settings.cell, settings.cell_options, settings.seed) == ("gru", {"reset": "before"}, 4)
    assert settings.optim.learning_rate == 1.0
    assert isinstance(settings.optim.learning_rate, float)
    assert settings.trainer.max_steps == 2
    assert settings.task.network.hidden_size == 8


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["trainer.max_epochs=null", "trainer.max_steps=null"], "training would never end; give trainer.max_epochs="),
        (["trainer.max_steps=0"], "trainer.max_steps=0 is too small; it must be 1 or more"),
        (["trainer.precision=8"], "trainer.precision=8 is not allowed; allowed: 32-true, 64-true"),
        (["optim.learning_rate=fast"], "optim.learning_rate='fast' must be a number"),
        (["optim.learning_rate=.nan"], "optim.learning_rate='.nan' must be a number"),
        (["optim.learning_rate=nan"], "optim.learning_rate=nan must be a number"),
        (["optim.decay_factor=0.5"], "optim.decay_factor=0.5 is too small; it must be 1 or more"),
        (["optim.momentum=0.9"], "optim.momentum=0.9 is of optim=sgd; adam has moments of its own"),
        (["optim=sgd", "optim.momentum=1"], "optim.momentum=1.0 is too large; it must be less than 1"),
        (["optim=sgd", "optim.nesterov=true"], "optim.nesterov=true needs a momentum; give optim.momentum="),
        (["optim=sgd", "optim.schedule=cosine"], "optim.decay_after_epochs=4 and optim.schedule=cosine are two"),
        (["optim.final_fraction=0.1"], "optim.final_fraction=0.1 is of optim.schedule=cosine or linear, which is"),
        (["optim.schedule=plateau"], "optim.schedule=plateau and optim.plateau_patience=null do not go together"),
        (["optim.plateau_patience=3"], "optim.schedule=constant and optim.plateau_patience=3 do not go together"),
        (["optim.schedule=step"], "optim.schedule=step is not allowed; allowed: constant, cosine, linear, plateau"),
        (["optim.warmup_steps=2"], "optim.warmup_steps=2 leaves none of the run's 2 steps at the full rate; give less"),
        (["trainer.patience=0"], "trainer.patience=0 is too small; it must be 1 or more"),
        (["trainer.non_finite=ignore"], "trainer.non_finite=ignore is not allowed; allowed: stop, go_on"),
        (["network.hidden_size=-1"], "network.hidden_size=-1 is too small; it must be 1 or more"),
        (["network.dropout=1"], "network.dropout=1.0 is too large; it must be less than 1"),
        (["again=maybe"], "again='maybe' must be true or false"),
        (["cell.forget_bias=wide"], "cell.forget_bias='wide' of 'lstm' must be a float, like 1.0"),
        (["cell=gru", "cell.reset=never"], "cell.reset=never is not an option of 'gru'; allowed: after, before"),
        (["cell.name=gru"], "unknown option of cell 'gru' 'forget_bias'; allowed: reset"),
    ],
)
def test_a_bad_value_is_one_line_that_says_what_is_allowed(tiny: Tiny, overrides: list[str], said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        read(tiny(*overrides))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_the_engines_are_those_that_there_are() -> None:
    assert get_args(get_type_hints(TrainerSettings)["engine"]) == ("auto", *ENGINES)


def test_a_group_that_is_no_group_is_refused(tiny: Tiny) -> None:
    with pytest.raises(CellwiseError, match=r"optim=3 must be a group of keys; choose a file of conf/optim"):
        read({**tiny(), "optim": 3})


def test_a_key_that_no_one_reads_is_refused(tiny: Tiny) -> None:
    with pytest.raises(CellwiseError, match="unknown key 'sede'; did you mean 'seed'"):
        read({**tiny(), "sede": 3})


def test_a_plan_is_checked_without_torch() -> None:
    code = (
        "import sys; from cellwise.sweep.plan import plan; from cellwise.training.settings import read;"
        "read(plan(['cell=gru'])[0].config); assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
