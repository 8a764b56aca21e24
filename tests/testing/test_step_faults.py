"""Each check of a step, and of what a cell says of its memory, catches the mistake it is for, and says what to mend."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cellwise.cells.activations import tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import Recurrent
from cellwise.recurrent.weights import Weights
from cellwise.testing import memory, steps, structure
from cellwise.testing.contract import Check
from tests.testing.faulty import Faulty, candidate, counter, right


def one_state_of_two(x: Any, U: Any, s: Any, p: Any) -> Any:
    return right(x, U, s, p)


def state_summed_over_units(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"])
    return {"h": h.sum(-1, keepdim=True)}, {"candidate": h}


def gates_forgotten(x: Any, U: Any, s: Any, p: Any) -> Any:
    return {"h": candidate(U, s["h"])}, {}


def state_alone(x: Any, U: Any, s: Any, p: Any) -> Any:
    return candidate(U, s["h"])


def infinite(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"]) / 0
    return {"h": h}, {"candidate": h}


def gate_summed_over_units(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"])
    return {"h": h}, {"candidate": h.sum(-1)}


def product_misspelt(x: Any, U: Any, s: Any, p: Any) -> Any:
    return U("hiden", s["h"]), {}


def product_called_twice(x: Any, U: Any, s: Any, p: Any) -> Any:
    return right(x, U, {"h": candidate(U, s["h"])}, p)


def operand_too_wide(x: Any, U: Any, s: Any, p: Any) -> Any:
    return right(x, U, {"h": torch.cat([s["h"], s["h"]], -1)}, p)


def writes_into_its_state(x: Any, U: Any, s: Any, p: Any) -> Any:
    returned = right(x, U, s, p)
    s["h"].mul_(0.5)
    return returned


def mean_over_the_second_axis(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"])
    return {"h": h - h.mean(1, keepdim=True)}, {"candidate": h}


def in_float32(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"]).float()
    return {"h": h}, {"candidate": h}


def gate_of_product_misspelt(x: Any, U: Any, s: Any, p: Any) -> Any:
    return {"h": U("hidden", s["h"])["candidat"]}, {}


def gate_misspelt(x: Any, U: Any, s: Any, p: Any) -> Any:
    return {"h": x["candiate"]}, {}


def state_misspelt(x: Any, U: Any, s: Any, p: Any) -> Any:
    return right(x, U, {"h": s["c"]}, p)


def extra_misspelt(x: Any, U: Any, s: Any, p: Any) -> Any:
    return {"h": p["peep"] * s["h"]}, {}


def keeps_all(x: Any, U: Any, s: Any, p: Any) -> Any:
    return {"h": s["h"]}, {"candidate": s["h"]}


def nothing(x: Any, U: Any, s: Any, p: Any) -> Any:
    right(x, U, s, p)


def state_none(x: Any, U: Any, s: Any, p: Any) -> Any:
    return {"h": None}, {"candidate": candidate(U, s["h"])}


def gate_a_number(x: Any, U: Any, s: Any, p: Any) -> Any:
    return {"h": candidate(U, s["h"])}, {"candidate": 1.0}


def writes_into_a_product(x: Any, U: Any, s: Any, p: Any) -> Any:
    u = U("hidden", s["h"])
    h = tanh(u["candidate"].add_(1))
    return {"h": h}, {"candidate": h}


def puts_its_state_into_the_old(x: Any, U: Any, s: Any, p: Any) -> Any:
    s["h"] = candidate(U, s["h"])
    return {"h": s["h"]}, {"candidate": s["h"]}


def squares(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = 0.1 * s["h"] ** 2 + x["candidate"]
    return {"h": h}, {"candidate": h}


def mixes_units(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = 0.5 * s["h"].roll(1, -1) + x["candidate"]
    return {"h": h}, {"candidate": h}


def exponential_at_first(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"]) * x["candidate"].exp()
    return {"h": h}, {"candidate": h}


def gradient_of_an_infinity(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = 1 / (1 + U("hidden", s["h"])["candidate"].exp()) ** 2
    return {"h": h}, {"candidate": h}


def keeps(update: Any, s: Any, candidate: Any) -> Any:
    """The mixture of a GRU; its update gate keeps."""
    h = update * s["h"] + (1 - update) * candidate
    return {"h": h}, {"update": update, "candidate": candidate}


def keeps_what_update_says(x: Any, U: Any, s: Any, p: Any) -> Any:
    return keeps(x["update"].sigmoid(), s, candidate(U, s["h"]))


def keeps_the_opposite(x: Any, U: Any, s: Any, p: Any) -> Any:
    (state, gates) = keeps((-x["update"]).sigmoid(), s, candidate(U, s["h"]))
    return state, gates | {"update": x["update"].sigmoid()}


def adds_to_what_it_keeps(x: Any, U: Any, s: Any, p: Any) -> Any:
    forget, given, n = x["forget"].sigmoid(), x["given"].sigmoid(), candidate(U, s["h"])
    return {"h": forget * s["h"] + given * n}, {"forget": forget, "given": given, "candidate": n}


TWO_GATES = {"gates": ("update", "candidate"), "retention": {"h": "update"}}


THREE_GATES = {"gates": ("forget", "given", "candidate"), "retention": {"h": "forget"}}


AFFINE = {"affine": True, "products": {}}


TWO_STATES = {"states": ("h", "c")}


FAULTS: list[tuple[Any, dict[str, Any], Check, str]] = [
    (one_state_of_two, TWO_STATES, steps.check_step_returns, "returned the states ['h']; states = ('h', 'c') wants"),
    (state_summed_over_units, {}, steps.check_step_returns, "returned state 'h' of shape (5, 1); it must keep"),
    (gates_forgotten, {}, steps.check_step_returns, "['candidate'] of gates"),
    (
        state_alone,
        {},
        steps.check_step_returns,
        "must return two dictionaries, the new state and the gates, not Tensor",
    ),
    (infinite, {}, steps.check_step_returns, "'h' is not finite"),
    (gate_summed_over_units, {}, steps.check_step_returns, "gate 'candidate' has shape (5,)"),
    (right, {"gates": ("candidate", "candidate")}, steps.check_step_returns, "gates names one twice"),
    (product_misspelt, {}, steps.check_products, "calls U('hiden', ...), but products names hidden; did you mean"),
    (right, {"products": {}}, steps.check_products, "calls U('hidden', ...), but products names none"),
    (keeps_all, {}, steps.check_products, "the step calls the products none; declared: ['hidden']"),
    (product_called_twice, {}, steps.check_products, "calls the products ['hidden', 'hidden']; declared: ['hidden']"),
    (operand_too_wide, {}, steps.check_products, "the operand of 'hidden' is 8 wide; declared: 1 hidden(s) = 4"),
    (
        gate_of_product_misspelt,
        {},
        steps.check_step_returns,
        "Faulty.step reads u['candidat'], but product 'hidden' feeds candidate; did you mean 'candidate'?",
    ),
    (gate_misspelt, {}, steps.check_step_returns, "reads x['candiate'], but gates names candidate; did you mean"),
    (state_misspelt, {}, steps.check_step_returns, "Faulty.step reads s['c'], but states names h"),
    (extra_misspelt, {}, steps.check_step_returns, "Faulty.step reads p['peep'], but extras names none"),
    (
        extra_misspelt,
        {"extras": {"peephole": 0.0}, "step_biases": ("candidate",)},
        steps.check_step_returns,
        "reads p['peep'], but extras and step_biases name peephole, bias_candidate; did you mean 'peephole'?",
    ),
    (nothing, {}, steps.check_step_returns, "returned nothing; it must return two dictionaries"),
    (state_none, {}, steps.check_step_returns, "returned state 'h' as None; it must be a tensor"),
    (gate_a_number, {}, steps.check_step_returns, "returned gate 'candidate' as a float; it must be a tensor"),
    (gates_forgotten, {}, steps.check_step_returns, "returned the gates none;"),
    (writes_into_a_product, {}, steps.check_step_is_pure, "the step writes into u['candidate'] in place"),
    (puts_its_state_into_the_old, {}, steps.check_step_is_pure, "the step puts another tensor into s['h']"),
    (squares, AFFINE, steps.check_affine, "affine says that the new state is a * state + b"),
    (mixes_units, AFFINE, steps.check_affine, "affine says that the new state is a * state + b, unit by unit"),
    (exponential_at_first, {}, steps.check_large_inputs, "'h' is not finite at step 1, pre-activations of some +-1"),
    (gradient_of_an_infinity, {}, steps.check_large_inputs, "a gradient is not finite after steps with"),
    (keeps_the_opposite, TWO_GATES, memory.check_retention, "what is kept, the derivative of the new 'h' by the old"),
    (
        keeps_what_update_says,
        TWO_GATES | {"chrono": {"update": -1}},
        memory.check_chrono,
        "chrono says -1 for 'update', but with a larger bias the cell keeps more of its state",
    ),
    (
        adds_to_what_it_keeps,
        THREE_GATES | {"chrono": {"forget": 1, "given": 1}},
        memory.check_chrono,
        "chrono says +1 for 'given', but with a larger bias the cell writes more",
    ),
    (writes_into_its_state, {}, steps.check_step_is_pure, "the step writes into s['h'] in place"),
    (counter(), {}, steps.check_step_is_pure, "the same step again: state 'h' differs"),
    (mean_over_the_second_axis, {}, steps.check_rows, "the output on an image differs"),
    (
        right,
        {"retention": {"h": "forget"}},
        memory.check_retention,
        "'forget' keeps 'h', but the step returns the gates",
    ),
    (in_float32, {}, steps.check_step_returns, "'h' is torch.float32 after a step on torch.float64"),
]


@pytest.mark.parametrize(("step", "data", "check", "told"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_faulty_step_is_caught_and_told_what_to_mend(
    step: Any, data: dict[str, Any], check: Check, told: str
) -> None:
    with pytest.raises((AssertionError, CellwiseError)) as error:
        check(lambda: Faulty(step, **data))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("check", [memory.check_retention, memory.check_chrono])
@pytest.mark.parametrize(
    ("step", "data"),
    [
        (keeps_what_update_says, TWO_GATES | {"chrono": {"update": 1}}),
        (adds_to_what_it_keeps, THREE_GATES | {"chrono": {"forget": 1, "given": -1}}),
    ],
)
def test_the_same_cells_with_the_right_data_pass(step: Any, data: dict[str, Any], check: Check) -> None:
    check(lambda: Faulty(step, **data))


def test_a_layer_tells_a_misspelt_name_too() -> None:
    layer = Recurrent(Faulty(gate_of_product_misspelt), 2, 3)
    with pytest.raises(CellwiseError, match=r"reads u\['candidat'\], but product 'hidden' feeds candidate; did you"):
        layer(torch.zeros(4, 1, 2))


def test_a_key_error_of_the_step_s_own_is_left_as_it_is() -> None:
    def own(x: Any, U: Any, s: Any, p: Any) -> Any:
        return dict(x)["mine"]

    with pytest.raises(KeyError, match="mine"):
        steps.check_step_returns(lambda: Faulty(own))


def test_a_cell_without_a_step_is_told_to_write_one() -> None:
    class Stepless(Cell):
        gates = ("candidate",)

    with pytest.raises(CellwiseError, match=r"Stepless has no step; write `def step\(self, x, U, s, p\):`"):
        steps.check_step_returns(Stepless)


def test_a_product_that_is_not_antisymmetric_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Weights, "matrices", lambda self, *_: dict(self.recurrent_weight.items()))
    with pytest.raises(AssertionError, match=r"dense: product 'hidden' to 'shared' has v \. \(A v\) ="):
        structure.check_antisymmetric(lambda: build_cell("antisymmetric_rnn"))
