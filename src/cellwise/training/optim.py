"""The optimiser, and the learning rate as a pure function of the epoch (so that a resumed run has the same)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from cellwise.training.settings import OptimSettings


def make_optimizer(settings: OptimSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name."""
    if settings.name == "adam":
        return torch.optim.Adam(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.SGD(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def learning_rate(settings: OptimSettings, epoch: int) -> float:
    """Return the rate of an epoch, the first being 0.

    With `decay_after_epochs=n`: epochs 0 to n - 1 at the full rate, then divided by `decay_factor` each epoch
    (Zaremba et al. 2014 and TensorFlow's ptb_word_lm: `lr_decay ** max(epoch + 1 - n, 0)`).
    """
    if settings.decay_after_epochs is None:
        return settings.learning_rate
    return settings.learning_rate / settings.decay_factor ** max(epoch + 1 - settings.decay_after_epochs, 0)
