"""One step's Jacobian against finite differences and identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell
from cellwise.probes import spectrum
from cellwise.probes.insides import Insides, Place, look
from cellwise.records.schema import Curves, Table
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, images, numbers
from tests.probes.test_insides import seen
from tests.probes.test_memory import last_losses, saturated_lstm

TIME, BATCH, STEP = 6, 3, 1e-5


def by_differences(layer: Recurrent, x: Tensor, t: int) -> Tensor:
    """(batch, numbers, numbers)."""
    with torch.no_grad():
        _, state = layer(x[:t])

        def after(change: float, name: str, unit: int) -> Tensor:
            changed = {n: v.clone() for n, v in state.items()}
            changed[name][0, :, unit] += change
            return torch.cat([v[0] for v in layer(x[t : t + 1], changed)[1].values()], dim=-1)

        columns = [
            (after(STEP, name, unit) - after(-STEP, name, unit)) / (2 * STEP)
            for name in state
            for unit in range(HIDDEN)
        ]
    return torch.stack(columns, dim=-1)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "peephole_lstm", "lem", "minimal_gru"])
def test_it_is_that_of_finite_differences(cell: str) -> None:
    layer, x = dense(lambda: build_cell(cell)), numbers(TIME, BATCH, INPUT)
    (one,) = seen(layer, x)
    for t in (1, TIME - 1):
        torch.testing.assert_close(spectrum.step_jacobian(one, t), by_differences(layer, x, t), rtol=1e-6, atol=1e-8)


def test_the_gradient_before_a_step_is_its_jacobians_transpose_times_the_gradient_after_it() -> None:
    layer, x = dense(lambda: build_cell("slstm")), numbers(TIME, BATCH, INPUT)
    loss, (one,) = look([layer], lambda: last_losses(layer(x)[0]))
    nodes = [[steps[t] for steps in one.states.values()] for t in (2, 3)]
    before, after = (torch.cat(torch.autograd.grad(loss.sum(), n, retain_graph=True), dim=-1) for n in nodes)
    torch.testing.assert_close(torch.einsum("bij,bi->bj", spectrum.step_jacobian(one, 3), after), before)


def test_singular_values_are_averaged_over_three_steps_of_three_rows_those_that_are_valid() -> None:
    layer, x = dense(lambda: build_cell("gru")), numbers(TIME, 5, INPUT)
    (one,) = seen(layer, x, [TIME, 4, 0, TIME, TIME])
    found = spectrum.spectrum(one)
    chosen = [(t, row) for t in (1, 3, 5) for row in range(3) if t < [TIME, 4, 0][row]]
    expected = torch.stack([spectrum.step_jacobian(one, t)[row] for t, row in chosen])
    assert found["0.0/singular"].shape == (5, HIDDEN)
    singular = np.linalg.svd(expected.detach().numpy(), compute_uv=False)
    np.testing.assert_allclose(found["0.0/singular"].numpy(), singular, rtol=1e-10)
    radius = np.abs(np.linalg.eigvals(expected.detach().numpy())).max(1)
    np.testing.assert_allclose(found["0.0/radius"].numpy(), radius, rtol=1e-10)


def test_an_lstm_whose_forget_gate_is_1_has_as_many_eigenvalues_of_1_as_units() -> None:
    found = spectrum.spectrum(seen(saturated_lstm(), numbers(TIME, BATCH, INPUT))[0])
    assert found["0.0/radius"].numpy() == pytest.approx(1)
    assert ((found["0.0/singular"] >= 1 - 1e-12).sum(1) == HIDDEN).all()  # c to c is 1, c to h some more
    assert (found["0.0/singular"][:, HIDDEN:] < 1e-12).all()  # h leads nowhere


def test_on_images_the_state_is_every_channel_of_every_pixel() -> None:
    (one,) = seen(images(lambda: build_cell("gru"), 3), numbers(3, 2, INPUT, 2, 3))
    assert spectrum.spectrum(one)["0.0/singular"].shape == (4, HIDDEN * 6)


def test_a_state_that_is_too_large_and_a_single_step_are_left_out() -> None:
    assert spectrum.spectrum(seen(dense(lambda: build_cell("gru")), numbers(1, 2, INPUT))[0]) == {}
    large = dense(lambda: build_cell("lstm"), hidden_size=spectrum.MOST_NUMBERS // 2 + 1)
    assert spectrum.spectrum(seen(large, numbers(2, 1, INPUT))[0]) == {}
    assert spectrum.views({}, {}, {"0.0": Place("", "")}) == []


def test_a_network_that_has_diverged_has_no_numbers_and_no_error() -> None:
    layer = dense(lambda: build_cell("gru"))
    with torch.no_grad():
        next(layer.parameters()).fill_(float("nan"))
    found = spectrum.spectrum(seen(layer, numbers(TIME, BATCH, INPUT))[0])
    assert found["0.0/singular"].isnan().all() and found["0.0/radius"].isnan().all()
    assert len(spectrum.views(found, found, {"0.0": Place("", "")})) == 2


def test_the_views_show_both_moments() -> None:
    def measured(radius: float, *singular: float) -> dict[str, Tensor]:
        return {"0.0/singular": torch.tensor([singular]).double(), "0.0/radius": torch.tensor([radius]).double()}

    curves, table = spectrum.views(measured(0.5, 0.75, 0.0), measured(1.0, 1.0, 0.95), {"0.0": Place("", "")})
    assert isinstance(curves, Curves) and isinstance(table, Table)
    assert [(s.name, s.x.tolist()) for s in curves.series] == [("start", [1, 2]), ("end", [1, 2])]
    assert np.isnan(curves.series[0].y[1])
    assert [row[:4] for row in table.rows] == [("start", 0.5, 0.75, 0.0), ("end", 1.0, 1.0, 2.0)]


def test_a_layer_of_insides_without_states_that_matter_is_zero() -> None:
    """Of a cell whose step reads no state, nothing is left of it."""
    (one,) = seen(dense(lambda: build_cell("rnn")), numbers(2, 1, INPUT))
    free = {"h": [value.detach().requires_grad_() for value in one.states["h"]]}
    lonely = Insides(one.key, one.cell, False, one.gates, {"h": [free["h"][0], (free["h"][1] * 2)]}, one.valid)
    assert not spectrum.step_jacobian(lonely, 1).any()
