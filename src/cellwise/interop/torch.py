"""Weights between our layers and torch.nn.RNN, LSTM and GRU, both ways.

Differences: torch adds two bias vectors per gate. They come in as their sum and go out as (sum, 0) unless the layer has
`recurrent_bias`, but for the GRU's candidate, whose second bias lies inside the reset gate's product and stays apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from cellwise.cells.lstm import LSTM
from cellwise.cells.rnn import RNN
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines import native
from cellwise.recurrent.layer import Recurrent
from cellwise.recurrent.maps import Dense
from cellwise.recurrent.options import LayerOptions
from cellwise.recurrent.weights import Weights


@torch.no_grad()
def from_torch(module: nn.Module, *, recurrent_bias: bool = False) -> Recurrent:
    """Return our layer with the weights of an `nn.RNN`, `nn.LSTM` or `nn.GRU` (copied).

    Args:
        module: the torch layer.
        recurrent_bias: keep its two biases a gate apart, so that training it further is the same too.

    Raises:
        CellwiseError: another module, or an LSTM with a projection.
    """
    if not isinstance(module, nn.RNN | nn.LSTM | nn.GRU):
        raise CellwiseError(f"from_torch takes nn.RNN, nn.LSTM or nn.GRU, not {type(module).__name__}")
    if module.proj_size:
        raise CellwiseError(
            f"from_torch can't take proj_size={module.proj_size}: hidden and output differ in size; use 0"
        )
    name, options = _our_cell(module)
    layer = Recurrent(
        name,
        module.input_size,
        module.hidden_size,
        module.num_layers,
        bidirectional=module.bidirectional,
        batch_first=module.batch_first,
        bias=module.bias,
        recurrent_bias=recurrent_bias and module.bias,
        dropout=module.dropout if module.num_layers > 1 else 0.0,
        **options,
    ).to(next(module.parameters()))
    for ours, theirs in _pairs(layer, module):
        ours.input_weight.copy_(theirs("weight_ih"))
        ours.recurrent_weight["hidden"].copy_(theirs("weight_hh"))
        if ours.bias is not None:
            ours.bias.copy_(theirs("bias_ih"))
            # The second bias of the GRU's candidate, the last block, is inside the reset gate's product.
            gates, part = theirs("bias_hh").tensor_split([len(ours.bias) - len(ours.part_bias) * module.hidden_size])
            for value in ours.part_bias.values():
                value.copy_(part)
            if recurrent_bias:
                ours.recurrent_bias.copy_(gates)
            else:
                ours.bias[: len(gates)] += gates
    return layer.train(module.training)


@torch.no_grad()
def to_torch(layer: Recurrent) -> nn.RNN | nn.LSTM | nn.GRU:
    """Return the torch.nn module that computes what our layer computes, with its weights (copied).

    Raises:
        CellwiseError: torch.nn has no such cell.
    """
    if not isinstance(layer, Recurrent) or not native.expressible(layer.cell, Dense(), layer.options):
        raise CellwiseError(
            f"torch.nn has no {type(layer).__name__} of {layer.cell_name} with these options; to_torch takes Recurrent "
            "layers of rnn, lstm, and gru with reset=after"
        )
    for key in ("connections", "layer_norm", "learned_state", "locked_dropout", "weight_drop"):
        value = getattr(layer.options, key)
        if value != getattr(LayerOptions(), key):
            raise CellwiseError(f"torch.nn has nothing for {key}={value}; to_torch takes layers without it")
    weights = layer.weights()[0]
    sizes = (layer.input_size, layer.hidden_size, layer.num_layers)
    options: dict[str, Any] = {
        "bias": weights.bias is not None,
        "batch_first": layer.batch_first,
        "dropout": layer.options.dropout if layer.num_layers > 1 else 0.0,  # torch warns where no layer follows
        "bidirectional": layer.directions == 2,
    }
    module: nn.RNN | nn.LSTM | nn.GRU
    if isinstance(layer.cell, RNN):
        module = nn.RNN(*sizes, nonlinearity=layer.cell.nonlinearity, **options)
    else:
        module = (nn.LSTM if isinstance(layer.cell, LSTM) else nn.GRU)(*sizes, **options)
    module = module.to(weights.input_weight)
    for ours, theirs in _pairs(layer, module):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        for name, value in zip(names, native.flat_weights(ours, ours.recurrent_weight["hidden"]), strict=False):
            theirs(name).copy_(value)
    return module.train(layer.training)


def _our_cell(module: nn.RNN | nn.LSTM | nn.GRU) -> tuple[str, dict[str, Any]]:
    if isinstance(module, nn.LSTM):
        return "lstm", {}
    if isinstance(module, nn.GRU):
        return "gru", {}
    return "rnn", {"nonlinearity": module.nonlinearity}


def _pairs(layer: Recurrent, module: nn.RNN | nn.LSTM | nn.GRU) -> Iterator[tuple[Weights, Any]]:
    """Each of our weights with a function from torch's name of a tensor to that tensor."""
    for place, weights in enumerate(layer.weights()):
        number, direction = divmod(place, layer.directions)
        suffix = f"_l{number}" + ("_reverse" if direction else "")
        yield weights, lambda name, suffix=suffix: getattr(module, name + suffix)
