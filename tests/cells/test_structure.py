"""Names, shapes and counts of parameters: as the golden file says, as the formulas say.

`python -m tests.cells.test_structure` writes the golden file anew, for a cell that was added or meant to change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cellwise.cells.registry import cell_names
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.contract import option_variants
from tests.cells.reference.layer import case_id

GOLDEN = Path(__file__).parent / "golden" / "structure.json"
INPUT, HIDDEN = 7, 5


def count(layer: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def structure() -> dict[str, Any]:
    """Parameters of every cell under every combination of its listed options, dense and convolutional."""
    found = {}
    for name in cell_names():
        for options in option_variants(name):
            for layer in (Recurrent(name, INPUT, HIDDEN, **options), ConvRecurrent(name, INPUT, HIDDEN, 3, **options)):
                case = f"{type(layer).__name__} {name} {case_id(options)}"
                shapes = {key: " ".join(map(str, value.shape)) for key, value in layer.state_dict().items()}
                found[case] = {"parameters": count(layer), "shapes": shapes}
    return found


def test_parameters_are_those_of_the_golden_file() -> None:
    assert structure() == json.loads(GOLDEN.read_text())


M, N = INPUT, HIDDEN
FORMULAS: list[tuple[str, dict[str, Any], int, int]] = [
    # cell, options, with bias, without
    ("rnn", {}, N * (M + N) + N, N * (M + N)),
    ("lstm", {}, 4 * N * (M + N) + 4 * N, 4 * N * (M + N)),
    ("peephole_lstm", {}, 4 * N * (M + N) + 4 * N + 3 * N, 4 * N * (M + N) + 3 * N),
    ("coupled_lstm", {}, 3 * N * (M + N) + 3 * N, 3 * N * (M + N)),
    ("coupled_lstm", {"peepholes": True}, 3 * N * (M + N) + 3 * N + 2 * N, 3 * N * (M + N) + 2 * N),
    ("gru", {"reset": "before"}, 3 * N * (M + N) + 3 * N, 3 * N * (M + N)),
    ("gru", {"reset": "after"}, 3 * N * (M + N) + 3 * N + N, 3 * N * (M + N)),  # and d_n, which can't be merged
]


@pytest.mark.parametrize(("name", "options", "with_bias", "without"), FORMULAS, ids=case_id)
def test_the_count_is_the_formulas(name: str, options: dict[str, Any], with_bias: int, without: int) -> None:
    assert count(Recurrent(name, M, N, **options)) == with_bias
    assert count(Recurrent(name, M, N, bias=False, **options)) == without


@pytest.mark.parametrize(("kernel", "recurrent_kernel"), [(3, 3), (5, 1), (2, 4)])
def test_the_count_of_a_conv_lstm_is_the_formulas(kernel: int, recurrent_kernel: int) -> None:
    expected = 4 * N * (M * kernel**2 + N * recurrent_kernel**2) + 4 * N
    layers = [ConvRecurrent(name, M, N, kernel, recurrent_kernel_size=recurrent_kernel) for name in CONV_LSTMS]
    assert [count(layer) for layer in layers] == [expected, expected + 3 * N]


CONV_LSTMS = ("lstm", "peephole_lstm")


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(structure(), indent=1) + "\n")
