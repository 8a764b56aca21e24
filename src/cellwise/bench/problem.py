"""One cell at one shape: the weights, the input and the derivative that everything timed there gets.

A training step is forward and all gradients: the input's too, which a layer in the middle of a network needs. The
derivative by the output is given, so no loss is part of what is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cellwise.bench.parts import Device
from cellwise.recurrent.layer import ConvRecurrent, Recurrent

Results = Mapping[str, Tensor]


class Shape(NamedTuple):
    """A name and sizes; `hidden` units, or channels, of input and state; `kernel` and `image` are 0 where dense."""

    name: str
    batch: int
    steps: int
    hidden: int
    kernel: int = 0
    image: int = 0

    def sizes(self) -> dict[str, int | str]:
        """Return what a row says of it."""
        return {"shape": self.name, **{key: value for key, value in self._asdict().items() if key != "name"}}

    @property
    def input(self) -> tuple[int, ...]:
        """The shape of input and output, time first."""
        image = (self.image, self.image) if self.image else ()
        return (self.steps, self.batch, self.hidden, *image)


DENSE = {
    "A": Shape("A", 20, 35, 200),
    "B": Shape("B", 20, 35, 650),
    "C": Shape("C", 64, 128, 128),
    "D": Shape("D", 32, 700, 128),
    "E": Shape("E", 128, 50, 32),
}


@dataclass(frozen=True)
class Step:
    """A training step that can be timed: `call` makes one; `results` makes one and names what came out.

    The names are those of our layer: `output`, `input`, and each parameter's.
    """

    cell: str
    engine: str
    call: Callable[[], Any]
    results: Callable[[], dict[str, Tensor]]

    @property
    def name(self) -> str:
        """Which cell on which engine."""
        return f"{self.cell} {self.engine}"


@dataclass
class Problem:
    """A cell at a shape; `weights` are drawn once, its extras off their initial values so that an error in them shows.

    Attributes:
        cell, shape, dtype, device: what and where.
        weights: by the parameter's name, with which `layer` starts.
        x, d_output: the input and the derivative by the output, (time, batch, ...).
    """

    cell: str
    shape: Shape
    dtype: torch.dtype = torch.float32
    device: Device = "cpu"
    weights: dict[str, Tensor] = field(init=False)
    x: Tensor = field(init=False)
    d_output: Tensor = field(init=False)

    def __post_init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.weights = {}
            for name, value in self._bare("reference").named_parameters():
                moved = value.detach() + (0.1 * torch.randn_like(value) if "extra" in name else 0.0)
                self.weights[name] = moved.to(self.device, self.dtype)
            drawn = [torch.randn(self.shape.input) for _ in range(2)]
        self.x, self.d_output = (value.to(self.device, self.dtype) for value in drawn)

    def layer(self, engine: str, **options: Any) -> Recurrent | ConvRecurrent:
        """Return the layer on an engine, with these weights.

        Raises:
            CellwiseError: the engine does not take the cell.
        """
        layer = self._bare(engine, **options).to(self.device, self.dtype)
        layer.load_state_dict(self.weights)
        return layer

    def ours(self, engine: str, **options: Any) -> Step:
        """Return the training step of our layer on an engine."""
        layer = self.layer(engine, **options)
        named = " ".join([engine, *(f"{name}={value}" for name, value in options.items())])
        return self.step(named, lambda x: layer(x)[0], dict(layer.named_parameters()))

    def step(
        self,
        engine: str,
        run: Callable[[Tensor], Tensor],
        parameters: Mapping[str, Tensor],
        renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda gradients: gradients,
    ) -> Step:
        """Return the training step of any torch module.

        Args:
            engine: what a row calls it.
            run: from x to output, shaped alike.
            parameters: that get gradients, by any name.
            renamed: from gradients by that name to gradients by the name of our layer's parameters.
        """
        x = self.x.clone().requires_grad_()
        leaves, d_output = [x, *parameters.values()], self.d_output
        wait: Callable[[], Any] = torch.cuda.synchronize if self.device == "cuda" else lambda: None

        def call() -> tuple[Tensor, tuple[Tensor, ...]]:
            output = run(x)
            gradients = torch.autograd.grad(output, leaves, d_output)
            wait()
            return output, gradients

        def results() -> dict[str, Tensor]:
            output, (by_input, *rest) = call()
            gradients = dict(zip(parameters, rest, strict=True))
            return {"output": output.detach(), "input": by_input, **renamed(gradients)}

        return Step(self.cell, engine, call, results)

    def in_float64(self) -> dict[str, Tensor]:
        """Return the results of the reference in float64."""
        exact = Problem(self.cell, self.shape, torch.float64, self.device)
        exact.weights = {name: value.double() for name, value in self.weights.items()}
        exact.x, exact.d_output = self.x.double(), self.d_output.double()
        return exact.ours("reference").results()

    def _bare(self, engine: str, **options: Any) -> Recurrent | ConvRecurrent:
        hidden = self.shape.hidden
        if self.shape.image:
            return ConvRecurrent(self.cell, hidden, hidden, self.shape.kernel, engine=engine, **options)
        return Recurrent(self.cell, hidden, hidden, engine=engine, **options)


def of_torch(problem: Problem) -> Step:
    """Return the step of torch.nn's module for lstm, gru or rnn, with a problem's weights."""
    from cellwise.interop.torch import to_torch

    layer = problem.layer("reference")
    assert isinstance(layer, Recurrent)
    module: nn.Module = to_torch(layer)
    hidden = problem.shape.hidden

    def renamed(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        found = {
            "layers.0.input_weight": gradients["weight_ih_l0"],
            "layers.0.bias": gradients["bias_ih_l0"],
            "layers.0.recurrent_weight.hidden": gradients["weight_hh_l0"],
        }
        if problem.cell == "gru":  # its candidate's second bias lies inside the reset gate's product
            found["layers.0.part_bias.candidate_recurrent"] = gradients["bias_hh_l0"][-hidden:]
        return found

    return problem.step("torch.nn", lambda x: module(x)[0], dict(module.named_parameters()), renamed)
