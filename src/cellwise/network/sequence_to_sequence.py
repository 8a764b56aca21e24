"""Encoder and decoder: read one sequence, write another.

Sources: Cho et al., EMNLP 2014, arXiv 1406.1078, section 2.2, and Sutskever, Vinyals and Le 2014, arXiv 1409.3215,
section 2 (the encoder's final state starts the decoder). Attention: Luong, Pham and Manning, EMNLP 2015, arXiv
1508.04025, section 3.1, global attention with the score `general`, equations (5) to (7):

    a_t = softmax over the encoder's valid steps of score(decoder output h_t, encoder outputs)
    c_t = sum_j a_tj (encoder output)_j
    h~_t = tanh(W_c [c_t; h_t])                    the head answers from h~_t; without attention from h_t

Differences: the score is scaled by 1 / sqrt(units) (Vaswani et al. 2017); no input feeding (their section 3.3), so the
decoder does not see the attention, and with teacher forcing all its steps are one call of the recurrent layer, on any
engine. Cho et al. give the summary to every step of the decoder; here it is the first state alone (Sutskever et al.).
Sutskever et al. reverse the input; that is the caller's to do, or take `bidirectional`. Dense states only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.network.attention import Attention
from cellwise.network.bridge import Bridge, BridgeName
from cellwise.network.checks import check_shape
from cellwise.network.head import Head
from cellwise.recurrent.checks import check_sizes
from cellwise.recurrent.layer import Recurrent

Source = tuple[Tensor, Tensor | list[int] | None]


class SequenceToSequence(nn.Module):
    """Encoder, decoder of the same cell and layers, and a head.

    Args:
        cell: a registered name, or a cell.
        input_size: features of a step of the encoder's input.
        target_size: features of a step of the decoder's input.
        hidden_size: units of a layer in one direction.
        num_layers: layers of the encoder, and of the decoder.
        output_size: features of a step of the answer; None for `target_size`.
        bidirectional: run the encoder in both directions.
        bridge: how both directions of its final state become one; see `Bridge`.
        attention: let the decoder's outputs attend to the encoder's.
        next_input: maps an answer (batch, output size) to the decoder's next input (batch, target size) when it runs
            freely; None for the answer itself.
        dropout: between layers and before the head.
        engine: of both recurrent layers.
        **cell_options: the cell's own.

    Raises:
        CellwiseError: sizes or options that do not fit.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        target_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        output_size: int | None = None,
        bidirectional: bool = False,
        bridge: BridgeName = "mix",
        attention: bool = False,
        next_input: Callable[[Tensor], Tensor] | None = None,
        dropout: float = 0.0,
        engine: str = "auto",
        **cell_options: Any,
    ):
        super().__init__()
        output_size = target_size if output_size is None else output_size
        check_sizes(input_size=input_size, target_size=target_size, hidden_size=hidden_size, output_size=output_size)
        if next_input is None and output_size != target_size:
            raise CellwiseError(
                f"output_size={output_size} can't be the decoder's next input of target_size={target_size}; give "
                "next_input, a function from one to the other, or make the sizes equal"
            )
        if isinstance(cell, str):
            cell = build_cell(cell, cell_options)
        elif cell_options:
            raise CellwiseError(f"options {sorted(cell_options)} are given to a cell that is built already")
        self.target_size, self.output_size, self.next_input = target_size, output_size, next_input
        encoder_units = hidden_size * (2 if bidirectional else 1)
        # What does not depend on the cell comes first: the same seed gives it to each cell alike (see SequenceModel).
        self.attention: Attention | None = None
        if attention:
            self.attention = Attention(encoder_units, hidden_size, score="dot")
            self.join = nn.Linear(encoder_units + hidden_size, hidden_size, bias=False)  # W_c
        self.head = Head(hidden_size, output_size, dropout=dropout)
        between = dropout if num_layers > 1 else 0.0
        self.encoder = Recurrent(
            cell, input_size, hidden_size, num_layers, bidirectional=bidirectional, dropout=between, engine=engine
        )
        self.decoder = Recurrent(cell, target_size, hidden_size, num_layers, dropout=between, engine=engine)
        self.bridge = Bridge(cell, hidden_size, num_layers, bridge) if bidirectional else None

    def forward(
        self,
        x: Tensor,
        targets: Tensor,
        start: Tensor | None = None,
        lengths: Tensor | list[int] | None = None,
        target_lengths: Tensor | list[int] | None = None,
    ) -> Tensor:
        """Answer with teacher forcing: step t of the answer is for targets[t] and has seen targets[:t].

        Args:
            x: (time, batch, input size).
            targets: (steps, batch, target size), as the decoder takes them in; the last one is not seen.
            start: the decoder's first input, (batch, target size); zeros when None.
            lengths: (batch,) valid steps of x per row, 0 to time; None when all rows are full.
            target_lengths: (batch,) valid steps of targets per row, 0 to steps.

        Returns:
            (steps, batch, output size), zero after a row's target length.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        outputs, state = self.encode(x, lengths)
        check_shape(targets, "steps, batch, target", self.target_size, "target features")
        if targets.shape[1] != x.shape[1]:
            raise ValueError(f"targets have {targets.shape[1]} rows, x has {x.shape[1]}")
        inputs = torch.cat([self._start(x, start)[None], targets])[: len(targets)]
        answer, _ = self._decode(inputs, state, (outputs, lengths), target_lengths)
        return answer

    def generate(
        self,
        x: Tensor,
        steps: int,
        start: Tensor | None = None,
        lengths: Tensor | list[int] | None = None,
    ) -> Tensor:
        """Answer freely: each step of the decoder takes in what `next_input` makes of the answer before.

        Args:
            x: (time, batch, input size).
            steps: how many to write, 0 or more.
            start: the decoder's first input, (batch, target size); zeros when None.
            lengths: (batch,) valid steps of x per row, 0 to time; None when all rows are full.

        Returns:
            (steps, batch, output size).

        Raises:
            ValueError: a shape or length that does not fit.
        """
        if steps < 0:
            raise ValueError(f"steps={steps} must be 0 or more")
        outputs, state = self.encode(x, lengths)
        taken = self._start(x, start)
        answers = [outputs.new_zeros(0, x.shape[1], self.output_size)]
        for _ in range(steps):
            answer, state = self._decode(taken[None], state, (outputs, lengths), None)
            answers.append(answer)
            taken = answer[0] if self.next_input is None else self.next_input(answer[0])
            self._check_start(taken, x, "next_input gave")
        return torch.cat(answers)

    def encode(self, x: Tensor, lengths: Tensor | list[int] | None = None) -> tuple[Tensor, State]:
        """Return the encoder's outputs (time, batch, units) and the decoder's first state, by name."""
        outputs, state = self.encoder(x, None, lengths)
        return outputs, state if self.bridge is None else self.bridge(state)

    def _decode(
        self, inputs: Tensor, state: State, source: Source, lengths: Tensor | list[int] | None
    ) -> tuple[Tensor, State]:
        """Some steps of the decoder, (steps, batch, output size), and its state after them."""
        hidden, state = self.decoder(inputs, state, lengths)
        if self.attention is not None:
            context, _ = self.attention(source[0], hidden, source[1])
            hidden = torch.tanh(self.join(torch.cat([context, hidden], dim=-1)))
        return self.head(hidden, lengths), state

    def _start(self, x: Tensor, start: Tensor | None) -> Tensor:
        if start is None:
            return x.new_zeros(x.shape[1], self.target_size)
        self._check_start(start, x, "start is")
        return start

    def _check_start(self, value: Tensor, x: Tensor, what: str) -> None:
        wanted = (x.shape[1], self.target_size)
        if tuple(value.shape) != wanted:
            raise ValueError(f"{what} of shape {tuple(value.shape)}; the decoder takes (batch, target) = {wanted}")
