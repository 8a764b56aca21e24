"""A cell's reference tells it from every cell with one mistake in it.

`python -m tests.cells.test_mutation` prints how many mutants each cell has, and which of them no reference tells.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell, cell_names
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.contract import option_variants
from cellwise.testing.layers import dense, images, numbers, reached_state
from tests.cells.mutation import Mutant, installed, mutants, unchanged
from tests.cells.reference.layer import REFERENCES, case_id, expected_steps
from tests.cells.reference.weights import Reference
from tests.cells.variants import variants

TIME, BATCH, IMAGE = 4, 2, (3, 2)
LARGER = 3.0
TOLD = 1e-6

_ABSENT = "the absent gate is 1"
_UNUSED = "an absent gate sees nothing"
_DT = "dt is 1"

# Cell -> mutant -> why it computes the same.
EQUIVALENT: dict[str, dict[str, str]] = {
    "lem": {"d = sigmoid(u['memory_step'])": _DT, "e = sigmoid(u['output_step'])": _DT},
    "no_forget_gate_lstm": {"f = gate('forget', s['h'])": _UNUSED, "c = s['c'] + i * z": _ABSENT},
    "no_input_gate_lstm": {"i = gate('input', s['h'])": _UNUSED, "c = f * s['c'] + z": _ABSENT},
    "no_output_gate_lstm": {
        "o = gate('output', s['c'])": _UNUSED,
        "pre = u[name] + p[f'peephole_{name}'] * s['c']": "the two gates that are left see the old cell state",
        "h = o * c if self.change == 'no_output_activation' else tanh(c)": _ABSENT,
    },
}

CASES = [(name, options) for name in cell_names() for options in option_variants(name)]


class Comparison:
    """A layer of one cell, and what its reference says of one run of it."""

    def __init__(self, layer: Recurrent | ConvRecurrent, reference: Reference, x: Tensor, start: dict[str, Tensor]):
        self._layer, self._x, self._start = layer, x, start
        self._expected = expected_steps(reference, layer, x, start)
        self._shapes = {name: value.shape for name, value in self._expected.items()}

    @torch.no_grad()
    def run(self) -> dict[str, Tensor]:
        """Return every gate and state after every step, (time, batch, hidden, ...)."""
        trace = self._layer.trace(self._x, self._start)
        return {name: value[0] for name, value in (trace.gates | trace.states).items()}

    def differs(self) -> bool:
        """Return whether the layer fails, or differs from the reference in a state or gate."""
        try:
            found = self.run()
        except Exception:  # whatever a mistake leads to
            return True
        if {name: value.shape for name, value in found.items()} != self._shapes:
            return True
        differences = [(found[name] - wanted).abs().max().item() for name, wanted in self._expected.items()]
        return not all(difference <= TOLD for difference in differences)  # so that nan differs, too


class Examined:
    """A cell, its mutants, and the runs that tell them: one on vectors, and one on images where the first does not.

    The second starts where the cell does, has larger inputs, and more axes that may be taken for the units'.
    """

    def __init__(self, name: str, options: dict[str, Any]):
        reference = next(found for cell, given, found in REFERENCES if (cell, given) == (name, options))
        self.cell = build_cell(name, options)
        layer = dense(lambda: self.cell, engine="reference")
        x = numbers(TIME, BATCH, layer.input_size)
        conv = images(lambda: self.cell, 1, engine="reference")
        larger = LARGER * numbers(TIME, BATCH, conv.input_size, *IMAGE)
        fresh = {
            state: torch.full((1, BATCH, conv.hidden_size, *IMAGE), self.cell.initial.get(state, 0.0)).double()
            for state in self.cell.states
        }
        self._comparisons = (
            Comparison(layer, reference, x, reached_state(layer, BATCH)),
            Comparison(conv, reference, larger, fresh),
        )
        self.mutants = mutants(self.cell, self._comparisons[0].run)

    def differs(self, mutant: Mutant) -> bool:
        """Return whether the reference tells the mutant from the cell."""
        with installed(self.cell, mutant.functions):
            return any(comparison.differs() for comparison in self._comparisons)

    def survivors(self) -> list[str]:
        """Return the mutants that the reference does not tell."""
        return [mutant.name for mutant in self.mutants if not self.differs(mutant)]


@pytest.mark.parametrize(("name", "options"), variants(2))
def test_no_mistake_at_one_place_of_a_cell_escapes_its_reference(name: str, options: dict[str, Any]) -> None:
    examined = Examined(name, options)
    assert not examined.differs(unchanged(examined.cell))
    count, escaped = len(examined.mutants), sorted(set(examined.survivors()) - set(EQUIVALENT.get(name, {})))
    assert count >= 3
    assert not escaped, f"{len(escaped)} of {count} mutants of {name} {options} escape:\n" + "\n".join(escaped)


@pytest.mark.parametrize("name", sorted(EQUIVALENT))
def test_what_is_listed_as_equivalent_survives(name: str) -> None:
    survived = {mutant for options in option_variants(name) for mutant in Examined(name, options).survivors()}
    assert set(EQUIVALENT[name]) <= survived


def test_the_mutants_of_the_lstm_are_the_mistakes_one_makes() -> None:
    names = {mutant.name for mutant in Examined("peephole_lstm", {}).mutants}
    assert {
        "c = f * s['c'] + (i + z)",  # a factor added
        "c = s['c'] + i * z",  # a factor left out
        "c = f * s['c'] - i * z",
        "f = sigmoid(u['input'] + p['peephole_forget'] * s['c'])",  # another gate
        "f = sigmoid(u['forget'] + p['peephole_input'] * s['c'])",  # another parameter
        "f = sigmoid(x['forget'] + p['peephole_forget'] * s['c'])",  # no recurrence
        "f = sigmoid(u['forget'] + p['peephole_forget'] * s['h'])",  # another state
        "z = sigmoid(u['candidate'])",  # another nonlinearity
        "h = o * c",  # none
        "o = sigmoid(u['output'] + p['peephole_output'] * s['c'])",  # the old state
    } <= names


def test_what_an_option_leaves_out_has_no_mutants_and_a_helper_of_the_step_has() -> None:
    after, before = (
        {mutant.name for mutant in Examined("gru", {"reset": reset}).mutants} for reset in ("after", "before")
    )
    assert "n = tanh(x['candidate'])" in after - before
    assert "n = tanh(U('reset_hidden', r)['candidate'])" in before - after
    norm = Examined("layer_norm_gru", {"norm_scope": "per_gate"}).mutants
    assert "_norm: return (v * scale).to(v.dtype)" in {mutant.name for mutant in norm}


def test_a_mistake_that_changes_nothing_is_reported() -> None:
    examined = Examined("lstm", {})
    examined.mutants = [unchanged(examined.cell)]
    assert examined.survivors() == [""]


if __name__ == "__main__":
    for cell, options in CASES:
        examined = Examined(cell, options)
        print("\n    ".join([f"{cell} {case_id(options)}: {len(examined.mutants)} mutants", *examined.survivors()]))
