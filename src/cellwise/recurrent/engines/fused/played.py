"""A call forward and back: on one tape, or chunk by chunk, where only the state before each chunk is kept.

With chunks (`recompute`), the way back runs each of them forward once more; projection, products and weight gradients
are those of one chunk at a time, so memory beyond input and output no longer grows with the number of steps
(Chen et al. 2016, arXiv 1604.06174, section 4.1; for recurrent networks Gruslys et al. 2016, arXiv 1606.03401).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cellwise.cells.contract import State
from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.given import Given
from cellwise.recurrent.engines.fused.tape import Gradients, Tape


class Played:
    """One call, run forward once and back once.

    Args:
        given: the call, its tensors outside of autograd.
        form: of its steps.
        chunk: steps of a chunk; None for one tape of all.

    Attributes:
        output: (time, batch, ..., hidden).
        state: after the last step, by name, (batch, ..., hidden).
    """

    def __init__(self, given: Given, form: Form, chunk: int | None = None):
        self._given, self._form = given, form
        time = given.x.shape[0]
        size = time if chunk is None else chunk
        self._spans = [(first, min(first + size, time)) for first in range(0, time, size)]
        self._starts: list[State] = []
        self._tape: Tape | None = None
        self.output, self.state = self._forward()

    @property
    def whole(self) -> bool:
        """Whether the output is the tape's own, which the way back reads."""
        return len(self._spans) == 1

    def _forward(self) -> tuple[Tensor, State]:
        given, state = self._given, dict(self._given.state)
        lead = (*given.x.shape[:-1], given.hidden_size)
        if self.whole:
            self._tape = Tape(given, self._form)
            self._starts, state = [state], self._tape.forward()
            return self._tape.output.view(lead), state
        output = given.x.new_empty(lead)
        for first, last in self._spans:
            self._starts.append(state)
            tape = Tape(given.steps(first, last, state), self._form)
            state = tape.forward()
            output[first:last] = tape.output.view(output[first:last].shape)
        return output, state

    def backward(self, d_output: Tensor, d_state: State, needed: Sequence[bool]) -> list[Tensor | None]:
        """Return the gradients, in the order of `Given.tensors`; where none is needed, it may be None.

        Args:
            d_output: derivative by the output.
            d_state: by the state, by name.
            needed: which are wanted.
        """
        given = self._given
        x = torch.empty_like(given.x) if needed[0] and not self.whole else None
        total: list[Tensor | None] | None = None
        running = d_state
        for (first, last), start in zip(reversed(self._spans), reversed(self._starts), strict=True):
            tape, self._tape = self._tape, None
            if tape is None:
                tape = Tape(given.steps(first, last, start), self._form)
                tape.forward()
            found = tape.backward(d_output[first:last], running)
            if x is not None:
                x[first:last] = found.of_x()
            elif needed[0]:
                x = found.of_x()
            running = found.of_state()
            total = _added(total, _of_weights(found, given, needed))
        assert total is not None
        input_weight, bias, *rest = total
        return [x, input_weight, bias, *(running[name] for name in given.state), *rest]


def _of_weights(found: Gradients, given: Given, needed: Sequence[bool]) -> list[Tensor | None]:
    """The gradients that are sums over steps, in the order of `Given.tensors`; frozen matrices cost no product."""
    first = 3 + len(given.state)
    wanted = dict(zip(given.conditions.matrices, needed[first:], strict=False))  # other weights follow
    return [
        found.of_input_weight() if needed[1] else None,
        found.of_bias() if needed[2] else None,
        *(found.of_matrix(name) if wanted[name] else None for name in wanted),
        *found.of_part_biases(),
        *found.of_learned(),
    ]


def _added(total: list[Tensor | None] | None, more: list[Tensor | None]) -> list[Tensor | None]:
    if total is None:
        return more
    return [b if a is None or b is None else a + b for a, b in zip(total, more, strict=True)]
