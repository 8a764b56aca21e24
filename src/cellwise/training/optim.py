"""The optimiser, and the learning rate as a pure function of where the run is (so that a resumed run has the same).

Updates are torch's: Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), SGD with momentum, Nesterov's too.
Cosine: Loshchilov and Hutter 2017, equation 5, one cycle over the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from cellwise.training.settings import OptimSettings


def make_optimizer(settings: OptimSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    if settings.name == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=settings.momentum, nesterov=settings.nesterov
    )


def learning_rate(
    settings: OptimSettings, *, epoch: int = 0, step: int = 0, steps_in_all: int = 1, reductions: int = 0
) -> float:
    """Return the rate of a step.

    With `warmup_steps=n` the first n steps rise evenly, step k has (k + 1) / (n + 1) of what follows. With
    `decay_after_epochs=n`: epochs 0 to n - 1 at the full rate, then divided by `decay_factor` each epoch (Zaremba et
    al. 2014 and TensorFlow's ptb_word_lm: `lr_decay ** max(epoch + 1 - n, 0)`). `cosine` and `linear` go from the full
    rate, at the first step after warm-up, to `final_fraction` of it at the run's last step. With `normalised_momentum`
    the rate is multiplied by 1 - momentum: a constant gradient comes to the same step with every momentum.

    Args:
        settings: of the optimiser.
        epoch: the first is 0.
        step: of the run, the first is 0.
        steps_in_all: of the run, were it not stopped early.
        reductions: how often validation stood still so far (`plateau`).
    """
    rate = settings.learning_rate
    if settings.normalised_momentum:
        rate *= 1 - settings.momentum
    if settings.decay_after_epochs is not None:
        rate /= settings.decay_factor ** max(epoch + 1 - settings.decay_after_epochs, 0)
    if settings.schedule == "plateau":
        rate /= settings.decay_factor**reductions
    warmup = settings.warmup_steps
    if step < warmup:
        return rate * (step + 1) / (warmup + 1)
    if settings.schedule in ("cosine", "linear"):
        # A run of one step, or of one after warm-up, has it at the full rate.
        gone = min((step - warmup) / max(steps_in_all - 1 - warmup, 1), 1.0)
        left = (1 + math.cos(math.pi * gone)) / 2 if settings.schedule == "cosine" else 1 - gone
        rate *= settings.final_fraction + (1 - settings.final_fraction) * left
    return rate
