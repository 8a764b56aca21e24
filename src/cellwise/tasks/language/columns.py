"""A long text as contiguous columns, cut into windows for truncated backpropagation.

Source: the layout of Zaremba et al. 2014 (arXiv:1409.2329): each of the batch's columns is one contiguous
piece of the text, so that the state carried from one window to the next is that of the words just before.

Differences: Zaremba's code trims the text to a multiple of the batch size. Here the columns are rounded up
and what is missing in the last ones is marked `IGNORED`, so that every prediction is scored exactly once,
whatever the batch size.
"""

from __future__ import annotations

from copy import copy
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwise.data.loader import require_shares
from cellwise.errors import CellwiseError

IGNORED = -100
"""The target that is not scored; torch's cross entropy ignores it by default."""


def columns(tokens: npt.NDArray[np.int64] | Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Lay a text out in columns.

    A text of N tokens has n = N - 1 predictions: token k + 1 from the tokens up to k. Columns are
    L = ceil(n / batch) long, and column b holds predictions b L to min((b + 1) L, n).

    Args:
        tokens: int64 (N,).
        batch_size: number of columns.

    Returns:
        inputs and targets, int64 (length, batch); targets are `IGNORED` past the end of the text.

    Raises:
        CellwiseError: fewer than 2 tokens, or a batch size below 1.
    """
    _require_positive("task.batch_size", batch_size)
    text = torch.as_tensor(tokens, dtype=torch.int64)
    if len(text) < 2:
        raise CellwiseError(f"the text has {len(text)} tokens; at least 2 are needed, one to see and one to predict")
    predictions = len(text) - 1
    length = -(-predictions // batch_size)
    missing = (0, length * batch_size - predictions)
    inputs = torch.nn.functional.pad(text[:-1], missing, value=0)
    targets = torch.nn.functional.pad(text[1:], missing, value=IGNORED)
    # (batch * length,) -> (length, batch): a column is contiguous in the text, a window in memory
    return (
        inputs.view(batch_size, length).t().contiguous(),
        targets.view(batch_size, length).t().contiguous(),
    )


class Windows:
    """The windows of a text, in order.

    Item k holds steps k S to (k + 1) S of every column; the last item may be shorter.

    Attributes:
        predictions: how many tokens are scored in one pass, all but the text's first.
    """

    def __init__(
        self,
        tokens: npt.NDArray[np.int64] | Tensor,
        *,
        batch_size: int,
        steps: int,
        whole_window: bool = False,
    ) -> None:
        """Lay the text out.

        Args:
            tokens: int64 (N,).
            batch_size: number of columns.
            steps: length of a window, S.
            whole_window: refuse a text shorter than one window per column, as training must.

        Raises:
            CellwiseError: text too short, or a size below 1.
        """
        _require_positive("task.steps", steps)
        self.steps = steps
        self.inputs, self.targets = columns(tokens, batch_size)
        self.predictions = len(tokens) - 1
        if whole_window and len(self.inputs) < steps:
            fitting = self.predictions // steps
            remedy = f"task.batch_size={fitting}" if fitting else f"task.batch_size=1 task.steps={len(tokens) - 1}"
            raise CellwiseError(
                f"the training text has {len(tokens)} tokens, less than one window of task.steps={steps} "
                f"for each of task.batch_size={batch_size} columns; type {remedy}, or give a longer text"
            )

    def __len__(self) -> int:
        return -(-len(self.inputs) // self.steps)

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        if not 0 <= k < len(self):
            raise IndexError(k)
        window = slice(k * self.steps, (k + 1) * self.steps)
        return self.inputs[window], self.targets[window]  # each (S or fewer, batch)

    def share(self, rank: int, of: int) -> Self:
        """Return the windows with a rank's columns alone: always the same ones, for they carry state.

        Raises:
            CellwiseError: the columns can't be divided evenly.
        """
        batch_size = self.inputs.shape[1]
        require_shares(batch_size, of)
        mine = slice(batch_size * rank // of, batch_size * (rank + 1) // of)
        shared = copy(self)
        shared.inputs, shared.targets = self.inputs[:, mine].contiguous(), self.targets[:, mine].contiguous()
        shared.predictions = int((shared.targets != IGNORED).sum())
        return shared


def _require_positive(key: str, value: int) -> None:
    if value < 1:
        raise CellwiseError(f"{key}={value} is not allowed; it must be at least 1")
