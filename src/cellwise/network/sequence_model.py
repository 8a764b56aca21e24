"""The composition that tasks build from configuration: front, recurrent layer, Transformer encoder, readout, head.

    x -> [front] -> recurrent -> [Transformer encoder] -> head                 an answer per step
    x -> [front] -> recurrent -> [Transformer encoder] -> readout -> head      an answer per row

What is in brackets is optional. Any registered cell, dense.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.errors import CellwiseError
from cellwise.network.front import TemporalFront
from cellwise.network.head import Head
from cellwise.network.readout import Readout
from cellwise.network.settings import SequenceSettings
from cellwise.network.transformer import TransformerEncoder
from cellwise.recurrent.checks import check_sizes
from cellwise.recurrent.layer import Recurrent


class SequenceModel(nn.Module):
    """A recurrent layer with what surrounds it.

    An answer per step depends on no later step unless `settings.bidirectional`: front and Transformer encoder are
    causal. The state is that of the recurrent layer alone: a front and a Transformer encoder see one call's steps.

    Args:
        cell: a registered name, or a cell.
        input_size: features of a step of x; with `front`, of a step that comes out of it.
        output_size: features of the answer.
        settings: sizes, dropout, readout, head, Transformer encoder and temporal front.
        per_step: answer each step, not each row.
        engine: of the recurrent layer.
        front: a front of the task's own, called as `front(x, lengths)`, for example an `ImageFront`; built before.

    Raises:
        CellwiseError: sizes or settings that do not fit.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        output_size: int,
        settings: SequenceSettings,
        *,
        per_step: bool = False,
        engine: str = "auto",
        front: nn.Module | None = None,
    ):
        super().__init__()
        check_sizes(input_size=input_size, output_size=output_size)
        self.input_noise = settings.input_noise
        causal = per_step and not settings.bidirectional
        units = settings.hidden_size * settings.directions
        # What does not depend on the cell comes first: cells draw different amounts of random numbers, and the same
        # seed must give the same front and head to each of them, or a comparison compares these too.
        self.front = _front(front, input_size, settings, causal)
        self.transformer: TransformerEncoder | None = None
        if settings.transformer_layers:
            self.transformer = TransformerEncoder(
                units,
                settings.transformer_layers,
                heads=settings.transformer_heads,
                dropout=settings.dropout,
                causal=causal,
            )
        self.readout = None if per_step else Readout(settings.readout, units, bidirectional=self._last_halves(settings))
        self.head = Head(units, output_size, hidden_size=settings.head_hidden_size, dropout=settings.dropout)
        self.recurrent = Recurrent(
            cell,
            settings.front_channels or input_size,
            settings.hidden_size,
            settings.num_layers,
            bidirectional=settings.bidirectional,
            engine=engine,
            **vars(settings.layer.with_dropout(settings.dropout, settings.num_layers)),
        )

    def forward(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Tensor | list[int] | None = None,
    ) -> tuple[Tensor, State]:
        """Answer.

        Args:
            x: (time, batch, features), or what the task's own front takes; time 0 is allowed.
            state: of the recurrent layer, by name, (layers * directions, batch, hidden); its initial one when None.
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full. A row of length 0 is read
                out as zeros, so its answer is the head's of zeros.

        Returns:
            Output (time, batch, output size), zero after a row's length; or, per row, (batch, output size). And the
            state after each row's last valid step.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        if self.training and self.input_noise:
            x = x + self.input_noise * torch.randn_like(x)
        if self.front is not None:
            x = self.front(x, lengths)
        hidden, new = self.recurrent(x, state, lengths)
        if self.transformer is not None:
            hidden = self.transformer(hidden, lengths)
        if self.readout is None:
            return self.head(hidden, lengths), new
        return self.head(self.readout(hidden, lengths)), new

    @staticmethod
    def _last_halves(settings: SequenceSettings) -> bool:
        """Whether half the units were made backward: not after a Transformer encoder, which mixes them."""
        return settings.bidirectional and not settings.transformer_layers


def _front(own: nn.Module | None, input_size: int, settings: SequenceSettings, causal: bool) -> nn.Module | None:
    if settings.front_channels is None:
        return own
    if own is not None:
        raise CellwiseError(
            f"front_channels={settings.front_channels} asks for a temporal front, but this task has its own; "
            "give front_channels=null"
        )
    return TemporalFront(input_size, settings.front_channels, kernel_size=settings.front_kernel_size, causal=causal)
