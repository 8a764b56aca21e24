"""Cells against torch.nn's own modules, weights copied by hand: layers, both directions, packed lengths, gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import numbers

TIME, BATCH, INPUT, HIDDEN, LAYERS = 6, 4, 3, 5, 2
LENGTHS = [3, TIME, 1, 5]

# torch's stacking order, by our names.
ORDER = {
    "rnn": ("candidate",),
    "lstm": ("input", "forget", "candidate", "output"),
    "gru": ("reset", "update", "candidate"),
}
CASES = [
    ("rnn", {"nonlinearity": "tanh"}, nn.RNN),
    ("rnn", {"nonlinearity": "relu"}, nn.RNN),
    ("lstm", {}, nn.LSTM),
    ("gru", {}, nn.GRU),
]


@torch.no_grad()
def copy_by_hand(name: str, module: nn.Module, layer: Recurrent) -> None:
    """torch's `weight_ih_l0_reverse` and its kin into our gates."""
    for number in range(layer.num_layers):
        for backward in range(layer.directions):
            suffix = f"_l{number}" + "_reverse" * backward
            ours = layer.gate_weights(number, bool(backward))
            blocks = {
                kind: dict(zip(ORDER[name], getattr(module, kind + suffix).chunk(len(ORDER[name])), strict=True))
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            for gate, weights in ours.items():
                assert weights.input is not None and weights.recurrent is not None and weights.bias is not None
                weights.input.copy_(blocks["weight_ih"][gate])
                weights.recurrent.copy_(blocks["weight_hh"][gate])
                if weights.recurrent_bias is None:
                    weights.bias.copy_(blocks["bias_ih"][gate] + blocks["bias_hh"][gate])
                else:
                    weights.bias.copy_(blocks["bias_ih"][gate])
                    weights.recurrent_bias.copy_(blocks["bias_hh"][gate])


def torch_run(module: nn.Module, x: Tensor, start: dict[str, Tensor], lengths: list[int] | None) -> list[Tensor]:
    """Output and states of torch's module."""
    given = tuple(start.values()) if len(start) > 1 else start["h"]
    if lengths is None:
        output, last = module(x, given)
    else:
        packed, last = module(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), given)
        output, _ = pad_packed_sequence(packed, total_length=TIME)
    return [output, *(last if isinstance(last, tuple) else (last,))]


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one_way", "both_ways"])
@pytest.mark.parametrize(("name", "options", "kind"), CASES, ids=["tanh", "relu", "lstm", "gru"])
def test_a_layer_is_the_module_of_torch(
    name: str, options: dict[str, Any], kind: Any, bidirectional: bool, lengths: list[int] | None, engine: str
) -> None:
    torch.manual_seed(0)
    module = kind(INPUT, HIDDEN, LAYERS, bidirectional=bidirectional, dtype=torch.float64, **options)
    layer = Recurrent(name, INPUT, HIDDEN, LAYERS, bidirectional=bidirectional, engine=engine, **options).double()
    copy_by_hand(name, module, layer)
    places = LAYERS * layer.directions
    x = numbers(TIME, BATCH, INPUT).requires_grad_()
    start = {
        state: numbers(places, BATCH, HIDDEN, seed=80 + n).requires_grad_() for n, state in enumerate(layer.cell.states)
    }
    output, state = layer(x, start, lengths)
    ours, theirs = [output, *state.values()], torch_run(module, x, start, lengths)
    leaves = [x, *start.values()]
    seeds = [numbers(*value.shape, seed=90 + n) for n, value in enumerate(ours)]
    ours += torch.autograd.grad(ours, leaves, seeds)
    theirs += torch.autograd.grad(theirs, leaves, seeds)
    for value, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
