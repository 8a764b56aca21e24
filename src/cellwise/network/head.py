"""The head: from the units of a row or of a step to the numbers of the answer."""

from __future__ import annotations

from torch import Tensor, nn

from cellwise.network.checks import lengths_of
from cellwise.recurrent.checks import check_rate, check_sizes
from cellwise.recurrent.guard import blank


class Head(nn.Module):
    """A linear map, or one hidden layer with a rectifier; per row or per step.

    Args:
        units: features of what comes in.
        output_size: features of the answer.
        hidden_size: units of the hidden layer; None for a linear head.
        dropout: on what each linear map gets.

    Raises:
        CellwiseError: a size that is not a whole number of 1 or more; a dropout outside [0, 1).
    """

    def __init__(self, units: int, output_size: int, *, hidden_size: int | None = None, dropout: float = 0.0):
        super().__init__()
        check_sizes(units=units, output_size=output_size)
        check_rate("dropout", dropout)
        self.units, self.output_size = units, output_size
        self.dropout = nn.Dropout(dropout)
        self.hidden: nn.Module | None = None
        if hidden_size is not None:
            check_sizes(hidden_size=hidden_size)
            self.hidden = nn.Sequential(nn.Linear(units, hidden_size), nn.ReLU(), nn.Dropout(dropout))
        self.output = nn.Linear(units if hidden_size is None else hidden_size, output_size)

    def forward(self, x: Tensor, lengths: Tensor | list[int] | None = None) -> Tensor:
        """Answer per row, (batch, units) to (batch, output), or per step, with time before.

        Args:
            x: what the readout, or the recurrent layer, gives.
            lengths: per step alone: (batch,) valid steps per row; the answer is zero after them.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        if x.dim() not in (2, 3) or (x.dim() == 2 and lengths is not None):
            wanted = "(batch, units), or (time, batch, units) where lengths are given"
            raise ValueError(f"input must be {wanted}; its shape is {tuple(x.shape)}")
        if x.shape[-1] != self.units:
            raise ValueError(f"input has {x.shape[-1]} units; this head takes {self.units}")
        if lengths is None:
            return self._answer(x)
        valid = lengths_of(x, lengths).valid
        return blank(self._answer(blank(x, valid)), valid)

    def _answer(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        answer: Tensor = self.output(x if self.hidden is None else self.hidden(x))
        return answer
