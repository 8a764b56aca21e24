"""The networks of nowcasting: published sizes, forecasts that can be told by hand, and what a cell must be for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cellwise.budget import Budget
from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import ConvRecurrent
from cellwise.tasks.nowcasting.network import EncoderForecaster, Forecaster, build_network
from cellwise.tasks.nowcasting.network_settings import ForecasterSettings, read_network, recurrent_shapes

KINDS = {
    "convolutional": {},
    "fully_connected": {"patch_size": None, "kernel_size": None},
    "cnn": {},
}


def settings(kind: str = "convolutional", frame: int = 16, **changes: Any) -> ForecasterSettings:
    return read_network({"kind": kind, "hidden_size": 4, **KINDS[kind], **changes}, frame)


def network(cell: Cell | str, given: ForecasterSettings, frame: int = 16, engine: str = "auto") -> Forecaster:
    built = build_cell(cell) if isinstance(cell, str) else cell
    return build_network(built, given, frame=frame, in_steps=3, lead=2, engine=engine)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("frame", "changes", "published"),
    [
        (64, {"hidden_size": 256, "num_layers": 1, "kernel_size": 5}, 13_524_496),
        (64, {"hidden_size": 128, "kernel_size": 5}, 10_042_896),
        (64, {"hidden_size": 128, "kernel_size": 5, "num_layers": 3, "widths": [1, 0.5, 0.5]}, 7_585_296),
        (64, {"hidden_size": 128, "kernel_size": 9, "recurrent_kernel_size": 1}, 11_550_224),
        (
            64,
            {
                **{"hidden_size": 128, "kernel_size": [9, 9, 9], "recurrent_kernel_size": [1, 1, 1]},
                **{"num_layers": 3, "widths": [1, 0.5, 0.5]},
            },
            8_830_480,
        ),
        (100, {"hidden_size": 64, "kernel_size": 3, "patch_size": 2}, 896_260),
        (64, {"kind": "fully_connected", "hidden_size": 2048, **KINDS["fully_connected"]}, 142_667_776),
        (100, {"kind": "fully_connected", "hidden_size": 2000, **KINDS["fully_connected"]}, 196_066_000),
    ],
)
def test_shis_networks_have_their_published_sizes(frame: int, changes: dict[str, Any], published: int) -> None:
    """Table 1 of Shi et al. 2015, and their two networks of radar, which are not printed but follow from it."""
    given = read_network(changes, frame)
    cell = build_cell("peephole_lstm")
    with torch.device("meta"):
        built = build_network(cell, given, frame=frame, in_steps=10, lead=10, engine="reference")
    assert count(built) == published
    shapes = recurrent_shapes(given, frame, 10)
    told = Budget("params", 1).cost(cell, shapes, given.hidden_size)
    assert told == sum(map(count, built.recurrent_layers())) == published - count(built.output)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_the_shapes_that_a_budget_counts_are_those_of_the_layers(kind: str) -> None:
    given = settings(kind, num_layers=2, hidden_size=6)
    built = network("lstm", given)
    layers: list[torch.nn.Module] = list(built.recurrent_layers()) or list(built.layers)  # type: ignore[arg-type]
    shapes = recurrent_shapes(given, 16, 3)
    counts = [Budget("params", 1).cost(build_cell("lstm"), [shape], 6) for shape in shapes]
    assert counts == [count(layer) for layer in layers]


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_a_batch_do_not_know_of_each_other_and_every_parameter_learns(kind: str) -> None:
    torch.manual_seed(0)
    built = network("gru", settings(kind)).double()
    x = torch.rand(3, 2, 1, 16, 16, dtype=torch.float64)
    together = built(x)
    assert together.shape == (2, 2, 1, 16, 16)
    torch.testing.assert_close(built(x[:, 1:]), together[:, 1:])
    together.square().sum().backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.numel() or parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("name", cell_names())
def test_every_registered_cell_forecasts_images(name: str) -> None:
    built = network(name, settings(num_layers=1, widths=[0.5]), engine="reference")
    frames = built(torch.rand(3, 1, 1, 8, 8))
    assert frames.shape == (2, 1, 1, 8, 8)
    assert torch.isfinite(frames).all()


def carrying(rows: int, columns: int) -> EncoderForecaster:
    """A linear network that keeps the last frame, and moves it by so many patches a step."""
    given = settings(num_layers=1, hidden_size=16)
    built = network(build_cell("rnn", {"nonlinearity": "relu"}), given)
    assert isinstance(built, EncoderForecaster)
    encoder, forecaster = built.recurrent_layers()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.zero_()
        eye = torch.eye(16)
        encoder.gate_weights()["candidate"].input[:, :, 1, 1] = eye  # type: ignore[index]
        forecaster.gate_weights()["candidate"].recurrent[:, :, 1 - rows, 1 - columns] = eye  # type: ignore[index]
        built.output.weight[:, :, 0, 0] = eye
    return built


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 0), (0, -1)])
def test_the_forecaster_goes_on_from_the_encoders_state_without_input(rows: int, columns: int) -> None:
    """Set by hand it is persistence, or extrapolation by a patch of 4 pixels a step, zeros coming in at the border."""
    frames = torch.rand(3, 2, 1, 16, 16)
    found = carrying(rows, columns)(frames)
    for step, frame in enumerate(found, 1):
        moved = F.pad(frames[-1], [16] * 4)
        moved = moved.roll((4 * rows * step, 4 * columns * step), (-2, -1))[..., 16:-16, 16:-16]
        torch.testing.assert_close(frame, moved)


def test_what_moves_in_the_frames_moves_in_the_forecast() -> None:
    torch.manual_seed(0)
    built = network("lstm", settings(num_layers=1)).double()
    frames = torch.zeros(3, 1, 1, 48, 48, dtype=torch.float64)
    frames[..., 20:28, 20:28] = torch.rand(3, 1, 1, 8, 8, dtype=torch.float64)
    shifted = frames.roll((4, -4), (-2, -1))
    inside = slice(20, 28)  # the border is felt as far as all kernels together reach
    here = built(frames)[..., inside, inside]
    there = built(shifted).roll((-4, 4), (-2, -1))[..., inside, inside]
    torch.testing.assert_close(here, there)


def test_the_same_seed_gives_every_cell_the_same_output_layer() -> None:
    outputs: list[Tensor] = []
    for name in ("lstm", "rnn", "mgu"):
        torch.manual_seed(3)
        built: Any = network(name, settings())
        outputs.append(built.output.weight.detach())
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])


def test_layers_have_sizes_and_kernels_of_their_own() -> None:
    given = settings(widths=[1, 0.5], kernel_size=[5, 3], recurrent_kernel_size=[1, 3])
    layers = [layer for layer in network("gru", given).recurrent_layers() if isinstance(layer, ConvRecurrent)]
    shapes = [(layer.input_size, layer.hidden_size) for layer in layers]
    assert shapes == [(16, 4), (4, 2), (0, 2), (2, 4)]
    kernels = [layer.weights()[0].input_weight.shape[-1] for layer in layers]
    assert kernels == [5, 3, 3, 5]


class Vectors(Cell):
    """A step that is for vectors alone."""

    gates = ("candidate",)
    products = {"hidden": (("candidate",), 1)}  # noqa: RUF012

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        batch, hidden = s["h"].shape
        new = torch.tanh(U("hidden", s["h"])["candidate"]).view(batch, hidden)
        return {"h": new}, {"candidate": new}


def test_a_cell_that_is_for_vectors_alone_is_refused_in_one_line() -> None:
    with pytest.raises(CellwiseError) as caught:
        network(Vectors(), settings(), engine="reference")
    assert str(caught.value) == (
        "cell Vectors can't run on images: its step raises ValueError (too many values to unpack (expected 2)); in a "
        "step units are the last axis, whatever stands before it"
    )
    network(Vectors(), settings("fully_connected"), engine="reference")(torch.rand(3, 1, 1, 16, 16))
