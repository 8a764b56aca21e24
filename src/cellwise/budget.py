"""What a cell costs: parameters and FLOPs of its recurrent layers, counted from the contract's products.

Only matrix products count (2 FLOPs a multiply-add); pointwise work is a few per cent and differs by how it is counted.
"""

from __future__ import annotations

from cellwise.cells.contract import Cell


def recurrent_parameters(
    cell: Cell, input_size: int, hidden_size: int, num_layers: int = 1, *, directions: int = 1
) -> int:
    """Return the parameters of dense recurrent layers, biases and extras included.

    Args:
        cell: with its options.
        input_size: features of the input.
        hidden_size: units of a layer in one direction.
        num_layers: layers.
        directions: 2 when bidirectional; the layer above sees both.
    """
    per_unit = len(cell.gates) + len(cell.part_biases) + len(cell.extras)
    products = recurrent_flops(cell, input_size, hidden_size, num_layers, directions=directions) // 2
    return products + num_layers * directions * per_unit * hidden_size  # each weight is used once a step


def recurrent_flops(cell: Cell, input_size: int, hidden_size: int, num_layers: int = 1, *, directions: int = 1) -> int:
    """Return forward FLOPs per time step and example of dense recurrent layers.

    Args:
        cell: with its options.
        input_size: features of the input.
        hidden_size: units of a layer in one direction.
        num_layers: layers.
        directions: 2 when bidirectional; the layer above sees both.
    """
    recurrent = sum(len(feeds) * width * hidden_size**2 for feeds, width in cell.products.values())
    total = 0
    for layer in range(num_layers):
        in_units = input_size if layer == 0 else hidden_size * directions
        total += directions * (len(cell.gates) * hidden_size * in_units + recurrent)
    return 2 * total
