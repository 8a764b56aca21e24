"""What antisymmetric RNN, coRNN and LEM must be, whatever their weights, and where their equations can be solved."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.ode import AntisymmetricRNN
from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, images, numbers

TIME, BATCH = 6, 3
OPEN = 100.0  # a bias that opens a gate for good: sigmoid(100) is 1 in float64


def layer_of(name: str, **options: Any) -> Recurrent:
    return dense(lambda: build_cell(name, options))


def matrix(layer: Recurrent | ConvRecurrent, *image: int) -> Tensor:
    """The matrix that an antisymmetric layer applies, got from its step: eps * matrix is a step's change near h = 0."""
    cell = layer.cell
    assert isinstance(cell, AntisymmetricRNN)
    factor = cell.step_size * (0.5 if cell.gated else 1.0)  # sigmoid(0) = 0.5
    with torch.no_grad():
        layer.weights()[0].input_weight.zero_()
        layer.weights()[0].bias.zero_()  # type: ignore[union-attr]
    shape = (1, 1, HIDDEN, *image)

    def step(h: Tensor) -> Tensor:
        changed: Tensor = layer(torch.zeros(1, 1, INPUT, *image, dtype=h.dtype), {"h": h.reshape(shape)})[0]
        return (changed.flatten() - h) / factor

    size = torch.Size(shape).numel()
    slope: Tensor = torch.func.jacrev(step)(torch.zeros(size, dtype=torch.float64))
    return slope + cell.diffusion * torch.eye(size, dtype=torch.float64)


@pytest.mark.parametrize("gated", [True, False])
def test_the_matrix_is_the_stored_one_less_its_transpose_and_its_eigenvalues_are_imaginary(gated: bool) -> None:
    layer = layer_of("antisymmetric_rnn", gated=gated, diffusion=0.3, step_size=0.2)
    stored = layer.gate_weights()["candidate"].recurrent
    assert stored is not None
    found = matrix(layer)
    torch.testing.assert_close(found, stored.detach() - stored.detach().T, rtol=0, atol=1e-12)
    eigenvalues = torch.linalg.eigvals(found)
    assert eigenvalues.real.abs().max() <= 1e-12 and eigenvalues.imag.abs().max() > 0.1


def test_on_images_the_whole_convolution_is_an_antisymmetric_matrix() -> None:
    found = matrix(images(lambda: build_cell("antisymmetric_rnn"), 3), 3, 2)
    assert found.abs().max() > 0.1
    torch.testing.assert_close(found, -found.T, rtol=0, atol=1e-12)


def test_with_its_gate_open_the_gated_form_is_the_plain_one() -> None:
    gated, plain = layer_of("antisymmetric_rnn", gated=True), layer_of("antisymmetric_rnn", gated=False)
    with torch.no_grad():
        ours, theirs = gated.gate_weights(), plain.gate_weights()["candidate"]
        for value, given in zip(ours["candidate"], theirs, strict=True):
            if value is not None and given is not None:
                value.copy_(given)
        x = numbers(TIME, BATCH, INPUT)
        assert (gated(x)[0] - plain(x)[0]).abs().max() > 1e-3
        bias = ours["input"].bias
        assert bias is not None
        bias.fill_(OPEN)
        torch.testing.assert_close(gated(x)[0], plain(x)[0], rtol=0, atol=1e-12)


def undriven(**options: float) -> Recurrent:
    """A coRNN without force: tanh(0) = 0."""
    layer = layer_of("cornn", **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    return layer


def test_two_steps_of_an_undriven_cornn_are_those_computed_by_hand() -> None:
    # z = 0 - 0.5 (2 * 1) = -1, h = 1 - 0.5 = 0.5; z = -1 + 0.5 (-2 * 0.5 + 1 * 1) = -1, h = 0.5 - 0.5 = 0.
    layer = undriven(dt=0.5, gamma=2.0, epsilon=1.0)
    start = {"h": torch.ones(1, 1, HIDDEN, dtype=torch.float64), "z": torch.zeros(1, 1, HIDDEN, dtype=torch.float64)}
    states = layer.trace(torch.zeros(2, 1, INPUT, dtype=torch.float64), start).states
    assert states["h"][0, :, 0, 0].tolist() == [0.5, 0.0]
    assert states["z"][0, :, 0, 0].tolist() == [-1.0, -1.0]


def test_an_undamped_undriven_cornn_swings_for_ever() -> None:
    # The old h drives z and the new z moves h (symplectic Euler), which keeps z^2 + gamma h^2 - dt gamma h z exactly.
    dt, gamma = 0.3, 1.7
    layer = undriven(dt=dt, gamma=gamma, epsilon=0.0)
    start = {"h": numbers(1, BATCH, HIDDEN, seed=3), "z": numbers(1, BATCH, HIDDEN, seed=4)}
    states = layer.trace(torch.zeros(500, BATCH, INPUT, dtype=torch.float64), start).states
    h, z = (torch.cat([start[name][None], states[name]], dim=1) for name in ("h", "z"))
    energy = z**2 + gamma * h**2 - dt * gamma * h * z
    torch.testing.assert_close(energy, energy[:, :1].expand_as(energy), rtol=1e-11, atol=0)
    assert (h[:, -50:].amax(1) > 0).all() and (h[:, -50:].amin(1) < 0).all()


def test_with_both_time_steps_shut_lem_keeps_its_state() -> None:
    layer = layer_of("lem")
    weights = layer.gate_weights()
    with torch.no_grad():
        for gate in ("memory_step", "output_step"):
            bias = weights[gate].bias
            assert bias is not None
            bias.fill_(-OPEN)
    start = {"h": numbers(1, BATCH, HIDDEN, seed=3), "z": numbers(1, BATCH, HIDDEN, seed=4)}
    _, state = layer(numbers(TIME, BATCH, INPUT), start)
    torch.testing.assert_close(state, start, rtol=0, atol=1e-12)


def test_the_output_of_lem_sees_the_memory_of_the_same_step() -> None:
    layer = layer_of("lem")
    by_memory = layer.gate_weights()["memory_candidate"].input
    assert by_memory is not None
    x = numbers(1, BATCH, INPUT)
    with torch.no_grad():
        before = layer(x)[0]
        by_memory.add_(0.5)
        assert (layer(x)[0] - before).abs().max() > 1e-3


def test_the_time_steps_of_lem_lie_between_0_and_dt() -> None:
    gates = layer_of("lem", dt=0.25).trace(20 * numbers(TIME, BATCH, INPUT)).gates
    for name in ("memory_step", "output_step"):
        assert gates[name].min() >= 0 and 0.2 < gates[name].max() <= 0.25
