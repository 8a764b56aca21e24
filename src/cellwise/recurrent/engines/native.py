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
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.maps import Dense, LinearMap
from cellwise.recurrent.options import LayerOptions
from cellwise.recurrent.weights import Weights


def expressible(cell: Cell, recurrent_map: LinearMap, options: LayerOptions) -> bool:
    """Whether torch has a kernel that computes exactly this cell on this map with these options."""
    return isinstance(recurrent_map, Dense) and _kernel(cell) is not None and not options.changes_the_step


def run(weights: Weights, x: Tensor, state: State, conditions: Conditions) -> tuple[Tensor, State]:
    """Run one layer in one direction; arguments and results as `reference.run`, dense, without resets and masks."""
    lengths = conditions.lengths
    flat = flat_weights(weights, conditions.matrices["hidden"])
    if lengths is None:
        return _call(weights, flat, x, state, None)
    kept = lengths.steps.nonzero().squeeze(1)  # torch refuses rows of length 0
    output = x.new_zeros(x.shape[0], x.shape[1], weights.hidden_size)
    if not len(kept):
        return output, dict(state)
    packed = pack_padded_sequence(x[:, kept], lengths.steps[kept].cpu(), enforce_sorted=False)
    order = packed.sorted_indices
    data, last = _call(weights, flat, packed.data, {n: v[kept][order] for n, v in state.items()}, packed.batch_sizes)
    run_output, _ = pad_packed_sequence(
        PackedSequence(data, packed.batch_sizes, order, packed.unsorted_indices), total_length=x.shape[0]
    )
    new = {n: v.index_copy(0, kept[order], last[n]) for n, v in state.items()}
    return output.index_copy(1, kept, run_output), new


def _call(
    weights: Weights, flat: list[Tensor], x: Tensor, state: State, batch_sizes: Tensor | None
) -> tuple[Tensor, State]:
    kernel = _kernel(weights.cell)
    assert kernel is not None
    start = tuple(state[name][None] for name in weights.cell.states)  # torch's order too: h, c
    hx = start if len(start) > 1 else start[0]
    # One layer, no dropout, one direction. `train` makes cuDNN keep what a backward needs.
    tail = (weights.bias is not None, 1, 0.0, torch.is_grad_enabled(), False)
    if batch_sizes is None:
        output, *last = kernel(x, hx, flat, *tail, False)
    else:
        output, *last = kernel(x, batch_sizes, hx, flat, *tail)
    return output, {name: value[0] for name, value in zip(weights.cell.states, last, strict=True)}


def _kernel(cell: Cell):  # type: ignore[no-untyped-def]  # torch gives these overloads no common type
    # The very class: one derived from it may compute something else.
    if type(cell) is LSTM:
        return torch.lstm
    if type(cell) is GRU and cell.reset == "after":
        return torch.gru
    if type(cell) is RNN:
        return torch.rnn_tanh if cell.nonlinearity == "tanh" else torch.rnn_relu
    return None


def flat_weights(weights: Weights, recurrent: Tensor) -> list[Tensor]:
    """Return one layer's weights as torch orders them: input, recurrent and, with biases, both of them."""
    if weights.bias is None:
        return [weights.input_weight, recurrent]
    if weights.twice_biased:
        second: Tensor = weights.recurrent_bias  # of the GRU without its candidate's, which follows
    else:
        second = torch.zeros_like(weights.bias[: len(weights.bias) - len(weights.part_bias) * weights.hidden_size])
    second = torch.cat([second, *weights.part_bias.values()])
    return [weights.input_weight, recurrent, weights.bias, second]
