"""Half-lives by hand; gradients against lag by finite differences, and where a closed form says what they are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell
from cellwise.probes import memory
from cellwise.probes.insides import Insides, Place, look
from cellwise.records.schema import Curves
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, images, numbers
from tests.probes.test_gates import made_up
from tests.probes.test_insides import LENGTHS, seen

TIME, BATCH, STEP = 6, 3, 1e-5
READ = numbers(HIDDEN, seed=5)


def last_losses(output: Tensor) -> Tensor:
    """A loss of each row's last output alone, (batch,)."""
    read: Tensor = (output[-1] @ READ).tanh().square()
    return read


def gradients(layer: Recurrent, x: Tensor, lengths: list[int] | None = None) -> dict[str, Tensor]:
    """By state of the first layer, (lags,)."""
    loss, found = look([layer], lambda: last_losses(layer(x, None, lengths)[0]))
    return {key.split("/")[1]: value for key, value in memory.gradients(loss, found).items() if key.startswith("0.0/")}


def by_differences(layer: Recurrent, x: Tensor, name: str, t: int) -> Tensor:
    """The norm of d loss / d state after step t, each number of the state changed alone: a mean over rows."""
    with torch.no_grad():
        _, state = layer(x[: t + 1])

        def after(change: float, unit: int) -> Tensor:
            changed = {n: v.clone() for n, v in state.items()}
            changed[name][0, :, unit] += change
            return last_losses(layer(x[t + 1 :], changed)[0] if t < TIME - 1 else changed["h"])

        slopes = [(after(STEP, unit) - after(-STEP, unit)) / (2 * STEP) for unit in range(HIDDEN)]
    norms: Tensor = torch.stack(slopes).norm(dim=0)
    return norms.mean()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "peephole_lstm", "slstm", "lem", "minimal_gru"])
def test_gradients_are_those_of_finite_differences_at_every_lag_and_in_every_state(cell: str) -> None:
    layer, x = dense(lambda: build_cell(cell)), numbers(TIME, BATCH, INPUT)
    for name, found in gradients(layer, x).items():
        expected = [by_differences(layer, x, name, t).item() for t in reversed(range(TIME))]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-10)


def test_a_lower_layer_is_felt_through_the_one_above_too() -> None:
    both, x = dense(lambda: build_cell("gru"), num_layers=2), numbers(TIME, BATCH, INPUT)
    lower, upper = (dense(lambda: build_cell("gru"), input_size=size) for size in (INPUT, HIDDEN))
    for alone, weights in ((lower, both.layers[0]), (upper, both.layers[1])):
        alone.layers[0].load_state_dict(weights.state_dict())

    def loss(t: int, change: float, unit: int) -> Tensor:
        first, state = lower(x[: t + 1])
        first, h = first.clone(), state["h"].clone()
        first[t, :, unit] += change
        h[0, :, unit] += change
        rest = lower(x[t + 1 :], {"h": h})[0] if t < TIME - 1 else first[:0]
        return last_losses(upper(torch.cat([first, rest]))[0])

    found = gradients(both, x)["h"]
    with torch.no_grad():
        for t in range(TIME):
            slopes = [(loss(t, STEP, unit) - loss(t, -STEP, unit)) / (2 * STEP) for unit in range(HIDDEN)]
            expected = torch.stack(slopes).norm(dim=0).mean().item()
            assert found[TIME - 1 - t].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("direction", [0, 1])
def test_lag_is_counted_from_each_rows_own_end(direction: int) -> None:
    """Each row's final state alone, for a batch of rows of lengths 6, 0 and 2 and both directions."""
    layer, x = dense(lambda: build_cell("gru"), bidirectional=True), numbers(TIME, BATCH, INPUT)
    lengths = [TIME, 0, 2]

    def loss_of(rows: slice, lengths: list[int]) -> dict[str, Tensor]:
        def run() -> Tensor:
            final: Tensor = layer(x[: max(lengths), rows], None, lengths)[1]["h"][direction]
            return final.square().sum(-1)

        return memory.gradients(*look([layer], run))

    together = loss_of(slice(None), lengths)[f"0.{direction}/h/gradient"]
    alone = [loss_of(slice(row, row + 1), [lengths[row]])[f"0.{direction}/h/gradient"] for row in (0, 2)]
    assert len(together) == TIME
    torch.testing.assert_close(together[2:], alone[0][2:], rtol=1e-12, atol=0)
    torch.testing.assert_close(together[:2], (alone[0][:2] + alone[1]) / 2, rtol=1e-12, atol=0)


def test_on_images_the_norm_is_over_units_and_pixels() -> None:
    layer, x = images(lambda: build_cell("lstm"), 3), numbers(TIME, 2, INPUT, 2, 3)
    loss, found = look([layer], lambda: layer(x)[0][-1].square().flatten(1).sum(1))
    norms = memory.gradients(loss, found)["0.0/h/gradient"]
    expected = 2 * layer(x)[0][-1].flatten(1).norm(dim=1).mean()
    assert norms[0].item() == pytest.approx(expected.item(), rel=1e-12)
    assert norms.shape == (TIME,)


class Identity(Cell):
    """h_t = h_{t-1} + x_t."""

    gates = ("candidate",)

    def step(self, x, U, s, p):  # type: ignore[no-untyped-def]
        return {"h": s["h"] + x["candidate"]}, {"candidate": x["candidate"]}


@torch.no_grad()
def saturated_lstm() -> Recurrent:
    """Its forget gate is 1 to the last bit, and it has no recurrent weights."""
    layer = dense(lambda: build_cell("lstm"))
    weights = layer.gate_weights()
    for gate in weights.values():
        assert gate.recurrent is not None
        gate.recurrent.zero_()
    assert weights["forget"].bias is not None and weights["forget"].input is not None
    weights["forget"].bias.fill_(100)
    weights["forget"].input.zero_()
    return layer


def test_an_identity_carries_the_gradient_unchanged_at_every_lag() -> None:
    norms = gradients(dense(Identity), numbers(TIME, BATCH, INPUT))["h"]
    torch.testing.assert_close(norms, norms[:1].expand(TIME), rtol=1e-12, atol=0)


def test_an_lstm_whose_forget_gate_is_1_carries_the_gradient_of_c_and_none_of_h() -> None:
    found = gradients(saturated_lstm(), numbers(TIME, BATCH, INPUT))
    assert found["c"][0] == 0  # the prediction reads h
    torch.testing.assert_close(found["c"][1:], found["c"][1:2].expand(TIME - 1), rtol=1e-12, atol=0)
    assert found["c"][1] > 0
    assert found["h"][0] > 0
    assert not found["h"][1:].any()


def test_an_rnn_at_rest_loses_the_gradient_at_the_rate_of_its_largest_singular_value() -> None:
    """At state 0 the derivative of tanh is 1, so the Jacobian is U: here a rotation by a factor."""
    layer = dense(lambda: build_cell("rnn"))
    rotation, _ = torch.linalg.qr(numbers(HIDDEN, HIDDEN))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weights()[0].recurrent_weight["hidden"].copy_(0.7 * rotation)
    loss, found = look([layer], lambda: layer(numbers(TIME, BATCH, INPUT))[0][-1] @ READ)
    norms = memory.gradients(loss, found)["0.0/h/gradient"]
    torch.testing.assert_close(norms, READ.norm() * 0.7 ** torch.arange(TIME).double(), rtol=1e-12, atol=0)


def test_what_is_too_small_for_single_precision_squared_is_there() -> None:
    layer = dense(lambda: build_cell("rnn"), dtype=torch.float32)
    with torch.no_grad():
        layer.weights()[0].recurrent_weight["hidden"].copy_(1e-10 * torch.eye(HIDDEN))
    x = numbers(4, BATCH, INPUT, dtype=torch.float32)
    loss, found = look([layer], lambda: layer(x)[0][-1].sum(-1))
    norms = memory.gradients(loss, found)["0.0/h/gradient"]
    assert 1e-32 < norms[3] < 1e-28


def kept(*values: float) -> Callable[[], Insides]:
    one = made_up(forget=[0.123, *values])  # what the first step keeps does not count
    return lambda: Insides("0.0", build_cell("lstm"), False, one.gates, {"h": [], "c": []}, one.valid)


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ((0.5, 0.5), 1.0),
        ((0.9,), math.log(0.5) / math.log(0.9)),
        ((0.25, 1.0), 1.0),  # two steps keep a quarter: half of it each, not what a mean of 0.625 would keep
        ((1.0, 1.0), memory.LONGEST),
        ((0.0,), math.log(0.5) / math.log(1e-12)),
    ],
)
def test_half_life_is_ln_half_by_ln_f(values: tuple[float, ...], steps: float) -> None:
    found = memory.log_kept(kept(*values)())
    assert memory.half_life(found["0.0/c/log_kept"]).item() == pytest.approx(steps, rel=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru", "janet", "coupled_lstm", "mgu", "lem", "slstm"])
def test_the_gate_is_the_one_that_the_cell_says_keeps_the_state(cell: str) -> None:
    built = build_cell(cell)
    layer, x = dense(lambda: built), numbers(5, BATCH, INPUT)
    (one,) = seen(layer, x, LENGTHS)
    trace, found = layer.trace(x, lengths=LENGTHS), memory.log_kept(one)
    assert set(found) == {f"0.0/{state}/log_kept" for state in built.retention}
    for state, gate in built.retention.items():
        values = trace.gates[gate][0]
        valid = torch.cat([values[1:length, row] for row, length in enumerate(LENGTHS)])
        torch.testing.assert_close(found[f"0.0/{state}/log_kept"], valid.log().mean(0), rtol=1e-10, atol=1e-12)


def test_the_views_of_a_cell_with_retention_and_of_one_without() -> None:
    x, names = numbers(TIME, BATCH, INPUT), {"0.0": Place("", "")}
    shown = {}
    for cell in ("lstm", "rnn"):
        layer = dense(lambda cell=cell: build_cell(cell))  # type: ignore[misc]
        loss, found = look([layer], lambda layer=layer: last_losses(layer(x)[0]))  # type: ignore[misc]
        with torch.no_grad():
            measured = memory.log_kept(found[0])
        measured |= memory.gradients(loss, found)
        shown[cell] = {view.name: view for view in memory.views(measured, measured, names)}
    assert set(shown["rnn"]) == {"gradient_against_lag_at_start", "gradient_against_lag_at_the_end"}
    assert set(shown["lstm"]) == {*shown["rnn"], "half_life"}
    half, lag = shown["lstm"]["half_life"], shown["lstm"]["gradient_against_lag_at_the_end"]
    assert isinstance(half, Curves) and isinstance(lag, Curves)
    assert [series.name for series in half.series] == ["c, start", "c, end"]
    assert [series.name for series in lag.series] == ["h", "c"]
    assert np.isnan(lag.series[1].y[0])  # 0 has no place on a log axis
    assert (np.diff(half.series[0].y) >= 0).all()
    assert {view.about for view in shown["lstm"].values()} == {"cell"}
