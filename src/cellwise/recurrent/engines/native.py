"""torch's own kernels (oneDNN on CPU, cuDNN on NVIDIA GPUs) for the configurations that they compute exactly.

Our stacking order of gates is torch's (input, forget, candidate, output; reset, update, candidate), so weights are
used as they are. torch wants two biases per gate: the first is ours, the second zero, but for the GRU's candidate.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from cellwise.cells.contract import Cell, State
from cellwise.cells.gru import GRU
from cellwise.cells.lstm import LSTM
from cellwise.cells.rnn import RNN
from cellwise.recurrent.guard import Lengths
from cellwise.recurrent.maps import Dense, LinearMap
from cellwise.recurrent.weights import Weights


def expressible(cell: Cell, recurrent_map: LinearMap) -> bool:
    """Whether torch has a kernel that computes exactly this cell on this map."""
    return isinstance(recurrent_map, Dense) and _kernel(cell) is not None


def run(weights: Weights, x: Tensor, state: State, lengths: Lengths | None = None) -> tuple[Tensor, State]:
    """Run one layer in one direction; arguments and results as `reference.run`, dense only."""
    if lengths is None:
        return _full(weights, x, state)
    kept = lengths.steps.nonzero().squeeze(1)  # torch refuses rows of length 0
    output = x.new_zeros(x.shape[0], x.shape[1], weights.hidden_size)
    if not len(kept):
        return output, dict(state)
    packed = pack_padded_sequence(x[:, kept], lengths.steps[kept].cpu(), enforce_sorted=False)
    order = packed.sorted_indices
    data, last = _call(weights, packed.data, {n: v[kept][order] for n, v in state.items()}, packed.batch_sizes)
    run_output, _ = pad_packed_sequence(
        PackedSequence(data, packed.batch_sizes, order, packed.unsorted_indices), total_length=x.shape[0]
    )
    new = {n: v.index_copy(0, kept[order], last[n]) for n, v in state.items()}
    return output.index_copy(1, kept, run_output), new


def _full(weights: Weights, x: Tensor, state: State) -> tuple[Tensor, State]:
    return _call(weights, x, state, None)


def _call(weights: Weights, x: Tensor, state: State, batch_sizes: Tensor | None) -> tuple[Tensor, State]:
    kernel = _kernel(weights.cell)
    assert kernel is not None
    start = tuple(state[name][None] for name in weights.cell.states)  # torch's order too: h, c
    hx = start if len(start) > 1 else start[0]
    flat = _flat_weights(weights)
    # One layer, no dropout, one direction. `train` makes cuDNN keep what a backward needs.
    tail = (weights.bias is not None, 1, 0.0, torch.is_grad_enabled(), False)
    if batch_sizes is None:
        output, *last = kernel(x, hx, flat, *tail, False)
    else:
        output, *last = kernel(x, batch_sizes, hx, flat, *tail)
    return output, {name: value[0] for name, value in zip(weights.cell.states, last, strict=True)}


def _kernel(cell: Cell):  # type: ignore[no-untyped-def]  # torch gives these overloads no common type
    if isinstance(cell, LSTM):
        return torch.lstm
    if isinstance(cell, GRU) and cell.reset == "after":
        return torch.gru
    if isinstance(cell, RNN):
        return torch.rnn_tanh if cell.nonlinearity == "tanh" else torch.rnn_relu
    return None


def _flat_weights(weights: Weights) -> list[Tensor]:
    recurrent = weights.recurrent_weight["hidden"]
    if weights.bias is None:
        return [weights.input_weight, recurrent]
    second = torch.zeros_like(weights.bias)
    if weights.part_bias:  # the GRU's candidate, the last of three blocks
        second = torch.cat([second[: 2 * weights.hidden_size], weights.part_bias["candidate_recurrent"]])
    return [weights.input_weight, recurrent, weights.bias, second]
