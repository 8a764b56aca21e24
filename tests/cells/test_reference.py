"""Every cell against plain NumPy loops in float64, written from the papers' equations; and wrong equations are seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cellwise.cells.registry import build_cell, cell_names
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.contract import option_variants
from cellwise.testing.layers import dense, images, numbers, reached_state
from tests.cells.mutants import MUTANTS, Step
from tests.cells.reference.layer import REFERENCES, case_id, expected_steps
from tests.cells.reference.weights import Reference

TIME, BATCH = 6, 3


def worst(reference: Reference, layer: Recurrent | ConvRecurrent, *image: int) -> float:
    """Largest difference from the reference over every state and gate of every step."""
    x = numbers(TIME, BATCH, layer.input_size, *image)
    start = reached_state(layer, BATCH, *image)
    expected = expected_steps(reference, layer, x, start)
    with torch.no_grad():
        trace = layer.trace(x, start)
        output, state = layer(x, start)
    found = {name: value[0] for name, value in (trace.gates | trace.states).items()}
    assert set(found) == set(expected)
    pairs = [(found[name], expected[name]) for name in expected]
    pairs += [
        (output, expected[layer.cell.states[0]]),
        *((value[0], expected[name][-1]) for name, value in state.items()),
    ]
    return max((value - wanted).abs().max().item() for value, wanted in pairs)


def test_every_registered_cell_has_a_reference_for_all_its_options() -> None:
    ours = [(name, options) for name in cell_names() for options in option_variants(name)]
    referenced = [(name, options) for name, options, _ in REFERENCES]
    for case in ours:
        assert case in referenced
    assert len(ours) == len(referenced)


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize(("name", "options", "reference"), REFERENCES, ids=case_id)
def test_a_cell_computes_its_papers_equations(
    name: str, options: dict[str, Any], reference: Reference, engine: str
) -> None:
    assert worst(reference, dense(lambda: build_cell(name, options), engine=engine)) <= 1e-12


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize(("name", "options", "reference"), REFERENCES, ids=case_id)
def test_on_images_products_are_convolutions_and_peepholes_one_number_a_channel(
    name: str, options: dict[str, Any], reference: Reference, kernel_size: int
) -> None:
    assert worst(reference, images(lambda: build_cell(name, options), kernel_size), 3, 2) <= 1e-12


def test_the_recurrent_kernel_may_have_another_size() -> None:
    reference = next(reference for name, _, reference in REFERENCES if name == "peephole_lstm")
    layer = images(lambda: build_cell("peephole_lstm"), 3, recurrent_kernel_size=2)
    from_input, recurrent, *_ = layer.gate_weights()["input"]
    assert from_input is not None and from_input.shape[-2:] == (3, 3)
    assert recurrent is not None and recurrent.shape[-2:] == (2, 2)
    assert worst(reference, layer, 3, 4) <= 1e-12


@pytest.mark.parametrize(("name", "options", "wrong", "step"), MUTANTS, ids=case_id)
def test_a_wrong_equation_is_seen(name: str, options: dict[str, Any], wrong: str, step: Step) -> None:
    reference = next(found for cell, given, found in REFERENCES if (cell, given) == (name, options))
    cell = build_cell(name, options)
    vars(cell)["step"] = step
    assert worst(reference, dense(lambda: cell, engine="reference")) > 1e-3, wrong
