"""Checks of the step itself: what it returns, which products it calls, and that it works row by row."""

from __future__ import annotations

import torch

from cellwise.cells.contract import listed
from cellwise.cells.declaration import check_declaration
from cellwise.testing.inputs import ROWS, RandomProducts, initial_inputs, next_inputs, random_inputs
from cellwise.testing.layers import HIDDEN, Build, assert_all_close, assert_close, dense, images, numbers

LARGE = 1e4


def check_step_returns(build: Build) -> None:
    """The cell's data agree with each other, and the step returns what they say, finite."""
    cell = build()
    check_declaration(cell, type(cell).__name__)
    state, gates = random_inputs(cell).run()
    for name, gate in gates.items():
        shape = tuple(gate.shape)
        assert shape == (ROWS, HIDDEN), f"gate {name!r} has shape {shape}; one number per row and unit is wanted"
    for name, value in (state | gates).items():
        assert value.dtype == torch.float64, f"{name!r} is {value.dtype} after a step on {torch.float64}"
        assert value.isfinite().all(), f"{name!r} is not finite after one step from small numbers"


def check_products(build: Build) -> None:
    """The step calls exactly its declared products, once each, in the declared order."""
    cell = build()
    inputs = random_inputs(cell)
    products = RandomProducts(cell, inputs.x)
    inputs.run(products)
    called, declared = [name for name, _ in products.calls], list(cell.products)
    assert called == declared, f"the step calls the products {called or 'none'}; declared: {declared or 'none'}"
    for name, shape in products.calls:
        assert shape[:-1] == (ROWS,), f"the operand of {name!r} has shape {shape}; rows must stay {ROWS}"


def check_step_is_pure(build: Build) -> None:
    """The step writes into nothing that it is given, what its products return included, and gives the same twice."""
    cell = build()
    inputs, untouched = random_inputs(cell), random_inputs(cell).by_name()
    products = RandomProducts(cell, inputs.x)
    given = inputs.by_name()
    first = inputs.run(products)
    for name, value in (given | products.given).items():
        assert value._version == 0, f"the step writes into {name} in place; make a new tensor instead"
    for name, value in given.items():
        assert torch.equal(value, untouched[name]), f"the step changes {name}"
    after = inputs.by_name()
    changed = [name for name in given | after if after.get(name) is not given.get(name)]
    assert not changed, f"the step puts another tensor into {listed(changed)}; give it a name of its own instead"
    assert_all_close("the same step again: state", random_inputs(cell).run()[0], first[0], 0.0)


def check_affine(build: Build) -> None:
    """A step that says it is affine has step(0) + step(2 s) = 2 step(s), each unit and state by itself."""
    cell = build()
    if not cell.affine:
        return
    inputs = random_inputs(cell)

    def step(*scales: float) -> dict[str, torch.Tensor]:
        """The new state where unit n of the state has its number times scale n."""
        state = {name: value * torch.tensor(scales, dtype=value.dtype) for name, value in inputs.s.items()}
        return type(inputs)(cell, inputs.x, state, inputs.p).run()[0]

    nothing, once, twice = (step(*(scale,) * HIDDEN) for scale in (0.0, 1.0, 2.0))
    first = step(1.0, *(0.0,) * (HIDDEN - 1))
    told = "affine says that the new state is a * state + b, unit by unit, with a and b from x alone; "
    for name in cell.states:
        assert_close(
            f"{told}step(0) + step(2 s) - step(s) of state {name!r}",
            nothing[name] + twice[name] - once[name],
            once[name],
        )
        assert_close(
            f"{told}a unit of state {name!r} changed with another's:", first[name][:, 1:], nothing[name][:, 1:]
        )


def check_large_inputs(build: Build) -> None:
    """Three steps with pre-activations of some +-10,000 stay finite in float32, and so do their gradients."""
    cell = build()
    inputs = initial_inputs(cell, 32, scale=LARGE, dtype=torch.float32)
    leaves = [value.requires_grad_() for value in inputs.by_name().values()]
    total = torch.zeros(())
    for number in range(1, 4):
        state, gates = inputs.run()
        for name, value in (state | gates).items():
            assert value.isfinite().all(), (
                f"{name!r} is not finite at step {number}, pre-activations of some +-{LARGE:g} and float32"
            )
        total = total + sum((value.tanh().sum() for value in state.values()), torch.zeros(()))
        inputs = next_inputs(inputs, state, number, scale=LARGE)
    if not total.requires_grad:
        return  # told by the checks of gradients
    for gradient in torch.autograd.grad(total, leaves, allow_unused=True):
        assert gradient is None or gradient.isfinite().all(), (
            f"a gradient is not finite after steps with pre-activations of some +-{LARGE:g} and float32"
        )


def check_rows(build: Build) -> None:
    """On an image, under 1x1 kernels, each pixel is a row of the dense layer."""
    time, batch, height, width = 3, 2, 3, 2
    flat, image = dense(build, bidirectional=True), images(build, 1, bidirectional=True)
    with torch.no_grad():
        for ours, theirs in zip(image.parameters(), flat.parameters(), strict=True):
            ours.copy_(theirs.reshape(ours.shape))
        x = numbers(time, batch, flat.input_size, height, width)
        pixels = x.permute(0, 1, 3, 4, 2).reshape(time, batch * height * width, flat.input_size)
        output, state = image(x)
        expected, expected_state = flat(pixels)
    output = output.permute(0, 1, 3, 4, 2).reshape(expected.shape)
    assert_close("the output on an image", output, expected)
    for name, value in state.items():
        moved = value.permute(0, 1, 3, 4, 2).reshape(expected_state[name].shape)
        assert_close(f"state {name!r} on an image", moved, expected_state[name])
