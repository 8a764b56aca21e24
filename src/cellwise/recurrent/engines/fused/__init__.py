"""The step fused: any cell at the speed of its products, with nothing written per cell.

The cell's own step runs with its products cut out (`cut`); what is left is pointwise, is traced with its derivative
(`graphs`) and compiled (`compiled`). The loop (`loop`) runs the products itself, last product first on the way back,
and makes each weight gradient one product over all steps. The factorisation is that of FlashRNN (Poeppel et al. 2024,
arXiv 2412.07752): the driver owns the products, the cell is a pointwise map; here that map is derived.

Second derivatives, forward derivatives, `vmap` and mixed precision are the reference's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, State
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.engines import reference
from cellwise.recurrent.engines.fused.compiled import compiler_at_hand, wanted
from cellwise.recurrent.engines.fused.cut import look_at
from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.given import Given
from cellwise.recurrent.engines.fused.played import Played
from cellwise.recurrent.engines.fused.products import arrival_of, known
from cellwise.recurrent.maps import LinearMap, ReplicatedDense
from cellwise.recurrent.weights import Weights


def expressible(cell: Cell, recurrent_map: LinearMap) -> bool:
    """Whether a cell's step can be cut at its products: it calls each once, in order, whatever the numbers are."""
    return known(recurrent_map) and look_at(cell) is not None


def compiles() -> bool:
    """Whether graphs are compiled here, on a CPU."""
    return wanted() and compiler_at_hand("cpu")


def run(weights: Weights, x: Tensor, state: State, conditions: Conditions) -> tuple[Tensor, State]:
    """Run one layer in one direction; arguments and results as `reference.run`."""
    return run_given(Given.of(weights, x, state, conditions), weights.options.recompute)


def run_given(given: Given, chunk: int | None = None) -> tuple[Tensor, State]:
    """Run a call.

    Args:
        given: the call, of one layer or of replicas.
        chunk: steps between states that are kept for the way back; None to keep all.
    """
    if 0 in given.x.shape[:-1] or _watched(given.x.device.type):
        return reference.run(given, given.x, given.state, given.conditions)
    output, *new = _Fused.apply(given, form_of(given), chunk, *given.tensors())  # type: ignore[no-untyped-call]
    return output, dict(zip(given.cell.states, new, strict=True))


def form_of(given: Given) -> Form:
    """Return the form of a call."""
    cell, conditions = given.cell, given.conditions
    seen = look_at(cell)
    assert seen is not None
    first = next(iter(cell.products), None)
    as_it_is = conditions.resets is None and first not in conditions.operand_masks
    return Form(
        cell,
        given.hidden_size,
        parameters=tuple(given.parameters),
        part_biases=tuple(given.part_bias),
        masked=tuple(conditions.operand_masks),
        kept=tuple(conditions.kept),
        lengths=conditions.lengths is not None,
        resets=conditions.resets is not None,
        direct=seen.direct,
        start=seen.start if as_it_is else None,
        arrivals=tuple(arrival_of(given.recurrent_map, matrix) for matrix in conditions.matrices.values()),
        replicas=given.recurrent_map.replicas if isinstance(given.recurrent_map, ReplicatedDense) else 0,
    )


def _watched(device: str) -> bool:
    """Whether a call is in the middle of something that wants to see every operation."""
    return (
        device == "meta"
        or torch.is_autocast_enabled(device)
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0  # tensors without numbers, counters of operations
        or torch._C._get_tracing_state() is not None
    )


class _Fused(torch.autograd.Function):
    """The layer as one function of its input, state, weights and what it goes back to at resets."""

    @staticmethod
    def forward(ctx: Any, given: Given, form: Form, chunk: int | None, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        played = Played(_outside(given, tensors), form, chunk)
        ctx.played, ctx.form, ctx.given, ctx.chunk = played, form, given, chunk
        ctx.there = [value is not None for value in tensors]
        saved = [value for value in tensors if value is not None]
        # The same memory as a tensor of its own, because the rows of the tape are views of the other.
        output = played.output.data
        resets = given.conditions.resets
        ctx.save_for_backward(*saved, *((output,) if played.whole else ()), *(() if resets is None else (resets,)))
        return (output, *played.state.values())

    @staticmethod
    def backward(ctx: Any, d_output: Tensor, *d_new: Tensor) -> tuple[Any, ...]:
        left = iter(ctx.saved_tensors)  # says if one of them has been written into since
        tensors = [next(left) if there else None for there in ctx.there]
        given, needed = ctx.given.with_tensors(tensors), ctx.needs_input_grad[3:]
        device = given.x.device.type
        with torch.autocast(device, enabled=False):  # a graph takes the dtype it was made for
            many = any(torch._C._functorch.is_legacy_batchedtensor(d) for d in (d_output, *d_new))
            if many or torch.is_grad_enabled() or _watched(device):
                return (None, None, None, *_by_the_reference(given, tensors, needed, (d_output, *d_new)))
            played, ctx.played = ctx.played, None
            if played is None:  # a second time through the same graph: the first has used the buffers up
                played = Played(_outside(given, tensors), ctx.form, ctx.chunk)
            gradients = played.backward(d_output, dict(zip(ctx.form.cell.states, d_new, strict=True)), needed)
        return (None, None, None, *(g if n else None for g, n in zip(gradients, needed, strict=True)))


def _outside(given: Given, tensors: Sequence[Tensor | None]) -> Given:
    """A call of these tensors, outside of autograd."""
    return given.with_tensors([None if value is None else value.detach() for value in tensors])


def _by_the_reference(
    given: Given, tensors: list[Tensor | None], needed: tuple[bool, ...], gradients: tuple[Tensor, ...]
) -> list[Tensor | None]:
    """The gradients, many of them at once or as a function that can be differentiated again."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        output, new = reference.run(given, given.x, given.state, given.conditions)
    values = (output, *(new[name] for name in given.cell.states))
    wanted = [t for t, n in zip(tensors, needed, strict=True) if n and t is not None]
    reached = [(value, d) for value, d in zip(values, gradients, strict=True) if value.requires_grad]
    if not reached:  # a step that hands on its old state depends on no weight
        return [None] * len(tensors)
    outputs, by_output = zip(*reached, strict=True)
    found = iter(torch.autograd.grad(outputs, wanted, by_output, create_graph=again, allow_unused=True))
    return [next(found) if n else None for n in needed]
