"""What MGU, JANET, UGRNN, STAR, Li-GRU, MUT1 to 3, IndRNN and SCRN must be to other cells, whatever their weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, numbers

TIME, BATCH = 6, 3
OPEN = 100.0  # a bias that opens a gate for good: sigmoid(100) is 1 in float64


def layer_of(name: str, **options: Any) -> Recurrent:
    return dense(lambda: build_cell(name, options))


@torch.no_grad()
def give(to: Recurrent, gate: str, source: Recurrent, other: str, sign: float = 1.0) -> None:
    """Write one gate's weights into another's; a negative sign turns its sigmoid f into 1 - f."""
    ours, theirs = to.gate_weights()[gate], source.gate_weights()[other]
    for value, given in zip(ours, theirs, strict=True):
        if value is not None and given is not None:
            value.copy_(sign * given)


@torch.no_grad()
def fill(layer: Recurrent, gate: str, value: float, *names: str) -> None:
    for name in names:
        getattr(layer.gate_weights()[gate], name).fill_(value)


@torch.no_grad()
def output(layer: Recurrent, **state: Tensor) -> Tensor:
    found: Tensor = layer(numbers(TIME, BATCH, INPUT), state or None)[0]
    return found


def difference(a: Recurrent, b: Recurrent) -> float:
    start = numbers(1, BATCH, HIDDEN, seed=5)
    return float((output(a, h=start) - output(b, h=start)).abs().max())


def test_an_mgu_is_a_gru_whose_reset_and_update_gates_are_one() -> None:
    mgu, gru = layer_of("mgu"), layer_of("gru", reset="before")
    give(gru, "reset", mgu, "forget")
    give(gru, "candidate", mgu, "candidate")
    give(gru, "update", mgu, "forget")
    assert difference(mgu, gru) > 1e-3  # a gru's update gate keeps the old state
    give(gru, "update", mgu, "forget", sign=-1)
    assert difference(mgu, gru) <= 1e-12


def test_a_mapped_mut2_is_a_gru_that_resets_before_the_product() -> None:
    mut2, gru = layer_of("mut2"), layer_of("gru", reset="before")
    give(gru, "reset", mut2, "reset")
    give(gru, "candidate", mut2, "candidate")
    give(gru, "update", mut2, "update")
    assert difference(mut2, gru) > 1e-3
    give(gru, "update", mut2, "update", sign=-1)
    assert difference(mut2, gru) <= 1e-12


def test_a_mut3_is_a_gru_but_for_the_tanh_that_its_update_gate_sees() -> None:
    mut3, gru = layer_of("mut3"), layer_of("gru", reset="before")
    give(gru, "reset", mut3, "reset")
    give(gru, "candidate", mut3, "candidate")
    give(gru, "update", mut3, "update", sign=-1)
    assert difference(mut3, gru) > 1e-3
    for layer in (mut3, gru):
        fill(layer, "update", 0.0, "recurrent")
    assert difference(mut3, gru) <= 1e-12


def test_a_mut1_is_a_gru_where_its_input_reaches_the_gates_alone() -> None:
    mut1, gru = layer_of("mut1"), layer_of("gru", reset="before")
    give(gru, "reset", mut1, "reset")
    give(gru, "candidate", mut1, "candidate")
    give(gru, "update", mut1, "update", sign=-1)
    fill(gru, "update", 0.0, "recurrent")
    assert difference(mut1, gru) > 1e-3  # tanh(x), not x
    for layer in (mut1, gru):
        fill(layer, "candidate", 0.0, "input")
    assert difference(mut1, gru) <= 1e-12


def test_with_beta_0_a_janet_is_a_ugrnn() -> None:
    janet, ugrnn = layer_of("janet", beta=0.0), layer_of("ugrnn")
    give(ugrnn, "update", janet, "forget")
    give(ugrnn, "candidate", janet, "candidate")
    assert difference(janet, ugrnn) <= 1e-12
    other = layer_of("janet", beta=1.0)
    for gate in ("forget", "candidate"):
        give(other, gate, janet, gate)
    assert difference(other, ugrnn) > 1e-3


def test_beta_moves_the_input_gate_of_a_janet_by_a_bias() -> None:
    janet = layer_of("janet", beta=1.5)
    gates = janet.trace(numbers(TIME, BATCH, INPUT)).gates
    torch.testing.assert_close(gates["input"].logit(), 1.5 - gates["forget"].logit(), rtol=0, atol=1e-12)


def test_a_ugrnn_is_a_gru_that_never_resets() -> None:
    ugrnn, gru = layer_of("ugrnn"), layer_of("gru", reset="before")
    for gate in ("update", "candidate"):
        give(gru, gate, ugrnn, gate)
    assert difference(ugrnn, gru) > 1e-3
    fill(gru, "reset", OPEN, "bias")
    assert difference(ugrnn, gru) <= 1e-12


@pytest.mark.parametrize(("name", "nonlinearity"), [("ugrnn", "tanh"), ("ligru", "relu")])
def test_with_the_update_gate_shut_only_the_plain_network_is_left(name: str, nonlinearity: str) -> None:
    gated, rnn = layer_of(name), layer_of("rnn", nonlinearity=nonlinearity)
    give(rnn, "candidate", gated, "candidate")
    assert difference(gated, rnn) > 1e-3
    fill(gated, "update", -OPEN, "bias")
    assert difference(gated, rnn) <= 1e-12


def test_the_update_gates_of_ugrnn_and_ligru_keep_and_that_of_star_takes() -> None:
    start = numbers(1, BATCH, HIDDEN, seed=5)
    for name in ("ugrnn", "ligru"):
        layer = layer_of(name)
        fill(layer, "update", OPEN, "bias")
        torch.testing.assert_close(output(layer, h=start), start.expand(TIME, -1, -1), rtol=0, atol=1e-12)
    star = layer_of("star")
    fill(star, "update", OPEN, "bias")
    weights = star.gate_weights()["candidate"]
    assert weights.input is not None and weights.bias is not None
    seen = numbers(TIME, BATCH, INPUT) @ weights.input.T + weights.bias
    torch.testing.assert_close(output(star, h=start), seen.tanh().tanh(), rtol=0, atol=1e-12)


def test_a_star_that_takes_nothing_squashes_its_state_each_step() -> None:
    star, h = layer_of("star"), numbers(1, BATCH, HIDDEN, seed=5)
    fill(star, "update", -OPEN, "bias")
    found = output(star, h=h)
    for step in found:
        h = h.tanh()
        torch.testing.assert_close(step, h[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mgu", "star", "mut1", "mut2", "mut3"])
def test_where_the_gate_takes_the_new_value_keep_is_the_rest(name: str) -> None:
    layer = layer_of(name)
    gates = layer.trace(numbers(TIME, BATCH, INPUT)).gates
    taken = gates["forget" if name == "mgu" else "update"]
    torch.testing.assert_close(gates["keep"] + taken, torch.ones_like(taken), rtol=0, atol=1e-15)


@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_an_indrnn_is_an_rnn_with_a_diagonal_matrix(nonlinearity: str) -> None:
    indrnn = layer_of("indrnn", nonlinearity=nonlinearity)
    rnn = layer_of("rnn", nonlinearity=nonlinearity)
    give(rnn, "candidate", indrnn, "candidate")
    assert difference(indrnn, rnn) > 1e-3
    recurrent = rnn.gate_weights()["candidate"].recurrent
    assert recurrent is not None
    with torch.no_grad():
        recurrent.copy_(torch.diag(indrnn.extra_weights()["recurrent"]))
    assert difference(indrnn, rnn) <= 1e-12


def test_the_context_of_an_scrn_is_a_moving_average_of_its_input() -> None:
    alpha = 0.8
    layer = layer_of("scrn", alpha=alpha)
    trace = layer.trace(numbers(TIME, BATCH, INPUT))
    seen = trace.gates["context_input"][0]
    weight = torch.tensor([alpha**age * (1 - alpha) for age in range(TIME)], dtype=seen.dtype)
    for t, context in enumerate(trace.states["context"][0]):
        expected = sum(weight[age] * seen[t - age] for age in range(t + 1))
        torch.testing.assert_close(context, expected, rtol=0, atol=1e-12)


def test_an_scrn_that_does_not_look_at_its_context_is_a_sigmoid_rnn() -> None:
    scrn, rnn = layer_of("scrn"), layer_of("rnn")
    start = {"h": numbers(1, BATCH, HIDDEN, seed=5), "context": numbers(1, BATCH, HIDDEN, seed=6)}
    weights, plain = scrn.gate_weights()["candidate"], rnn.gate_weights()["candidate"]
    assert weights.input is not None and weights.recurrent is not None and weights.bias is not None
    assert plain.input is not None and plain.recurrent is not None and plain.bias is not None
    hidden = weights.recurrent[:, HIDDEN:]
    with torch.no_grad():  # sigmoid(v) = (1 + tanh(v / 2)) / 2, so g = 2 h - 1 is the state of a tanh network
        plain.input.copy_(weights.input / 2)
        plain.recurrent.copy_(hidden / 4)
        plain.bias.copy_((weights.bias + hidden.sum(dim=1) / 2) / 2)
        expected = (1 + output(rnn, h=2 * start["h"] - 1)) / 2
        assert (output(scrn, **start) - expected).abs().max() > 1e-3
        scrn.weights()[0].recurrent_weight["context"].zero_()
    torch.testing.assert_close(output(scrn, **start), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [-0.1, 1.0, 1.5, float("nan")])
def test_an_scrn_refuses_an_alpha_that_does_not_average(alpha: float) -> None:
    with pytest.raises(CellwiseError, match="at least 0 and less than 1"):
        build_cell("scrn", {"alpha": alpha})


def test_the_recurrent_weights_of_an_indrnn_start_spread_between_0_and_1() -> None:
    torch.manual_seed(0)
    drawn = Recurrent("indrnn", INPUT, 400).extra_weights()["recurrent"]
    assert 0 <= drawn.min() < 0.05
    assert 0.95 < drawn.max() <= 1


def test_the_update_bias_of_a_ugrnn_is_where_its_bias_starts() -> None:
    biases = []
    for update_bias in (0.0, 1.0):
        torch.manual_seed(0)
        layer = Recurrent("ugrnn", INPUT, HIDDEN, update_bias=update_bias)
        biases.append({gate: weights.bias for gate, weights in layer.gate_weights().items()})
    for gate, offset in (("update", 1.0), ("candidate", 0.0)):
        before, after = biases[0][gate], biases[1][gate]
        assert before is not None and after is not None
        torch.testing.assert_close(after, before + offset)
