"""The fused engine equals the reference: every cell under all conditions at once, every kind of step under each by
itself, uncompiled; a few cells compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.activations import tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines.fused import compiled
from cellwise.recurrent.engines.fused.compiled import compiling
from cellwise.recurrent.engines.fused.cut import look_at
from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.contract import option_variants
from cellwise.testing.layers import assert_all_close, numbers
from tests.cells.variants import covering
from tests.recurrent.throwaway import THROWAWAY

TIME, BATCH, INPUT, HIDDEN = 4, 3, 5, 4
CELLS: list[Callable[[], Cell]] = [
    *THROWAWAY,
    *(partial(build_cell, name, options) for name in cell_names() for options in option_variants(name)),
]
NAMES = [
    *(cell.__name__ for cell in THROWAWAY),
    *(f"{name}-{options}" for name in cell_names() for options in option_variants(name)),
]
LENGTHS = [TIME, 0, 2]
RESETS = [[False, True, False], [False, False, True], [True, False, False], [False, False, True]]
DROPOUTS = {"zoneout": 0.3, "recurrent_dropout": 0.3, "weight_drop": 0.2}
CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "lengths": ({}, {"lengths": LENGTHS}),
    "resets": ({"learned_state": True}, {"resets": RESETS, "lengths": LENGTHS}),
    "dropouts": (DROPOUTS, {"lengths": LENGTHS}),
    "all": ({"learned_state": True, **DROPOUTS}, {"resets": RESETS, "lengths": LENGTHS}),
    "no_biases": ({"bias": False, "bidirectional": True, "num_layers": 2}, {}),
}
SLOW = [(0, "no_biases"), (2, "resets")]


@pytest.fixture(autouse=True)
def uncompiled() -> Iterator[None]:
    with compiling(False):
        yield


def layers(build: Callable[[], Cell], kernel: int, dtype: torch.dtype = torch.float64, **options: Any) -> list[Any]:
    """The same layer on the fused engine and on the reference."""
    found: list[Any] = []
    for engine in ("fused", "reference"):
        torch.manual_seed(1)
        if kernel:
            layer: Any = ConvRecurrent(build(), INPUT, HIDDEN, kernel, engine=engine, **options)
        else:
            layer = Recurrent(build(), INPUT, HIDDEN, engine=engine, **options)
        found.append(layer.to(dtype))
    return found


def results(layer: Any, image: tuple[int, ...] = (), **call: Any) -> dict[str, Tensor]:
    """Output, state, and the gradient of a random sum of both by everything that has one."""
    dtype = next(layer.parameters()).dtype
    x = numbers(TIME, BATCH, INPUT, *image, dtype=dtype).requires_grad_()
    start = {
        name: (value.detach() + 0.1 * numbers(*value.shape, dtype=dtype, seed=20 + n)).requires_grad_()
        for n, (name, value) in enumerate(layer.initial_state(BATCH, *image).items())
    }
    if "resets" in call:
        call = {**call, "resets": torch.tensor(call["resets"])}
    torch.manual_seed(2)  # the same masks
    output, state = layer(x, start, **call)
    values = [output, *state.values()]
    seeds = [numbers(*value.shape, dtype=dtype, seed=30 + n) for n, value in enumerate(values)]
    leaves = {"input": x} | start | dict(layer.named_parameters())
    found = torch.autograd.grad(values, list(leaves.values()), seeds, allow_unused=True)
    gradients = {
        f"gradient of {name}": torch.zeros_like(leaf) if value is None else value
        for (name, leaf), value in zip(leaves.items(), found, strict=True)
    }
    return {"output": output} | {f"state {name}": value for name, value in state.items()} | gradients


def kind(cell: Cell) -> tuple[Any, ...]:
    """What the engine makes of a step, but for its equations: which buffers there are, and which graphs."""
    seen = look_at(cell)
    assert seen is not None
    form = Form(
        cell,
        HIDDEN,
        parameters=tuple(cell.extras),
        part_biases=cell.part_biases,
        masked=(),
        kept=(),
        lengths=False,
        resets=False,
        direct=seen.direct,
        start=seen.start,
    )
    products = [(form.merges(name), cell.products[name][1]) for name in form.products]
    return (*products, bool(cell.part_biases), bool(cell.extras), bool(seen.direct), seen.start is None)


FIRST_OF_ITS_KIND = {repr(kind(build())): name for build, name in reversed([*zip(CELLS, NAMES, strict=True)])}.values()
FEW = {f"{name}-{options}" for name in cell_names() for options in covering(option_variants(name), 1)}
# Kernel 0 are dense maps. An equation that is differentiated wrongly is wrong under all conditions, too; what the
# engine does about one condition depends on the kind of step alone. What is left of the product is slow.
CASES = [
    pytest.param(build, kernel, name, id=f"{cell}-{kernel}-{name}", marks=[] if quick else pytest.mark.slow)
    for build, cell in zip(CELLS, NAMES, strict=True)
    for kernel, name in [(3, "all"), *((0, name) for name in CONDITIONS if name != "all"), (2, "resets")]
    for first in [cell in FIRST_OF_ITS_KIND]
    for quick in [first or cell in FEW if name == "all" else first and (kernel, name) not in SLOW]
]


def test_the_kinds_of_step_are_told_apart() -> None:
    assert kind(build_cell("lstm")) == kind(build_cell("ugrnn"))
    kinds = [
        kind(cell) for cell in (build_cell("lstm"), build_cell("gru"), build_cell("peephole_lstm"), THROWAWAY[0]())
    ]
    assert len({repr(one) for one in kinds}) == 4


@pytest.mark.parametrize(("build", "kernel", "conditions"), CASES)
def test_every_cell_gives_what_the_reference_gives(build: Callable[[], Cell], kernel: int, conditions: str) -> None:
    options, call = CONDITIONS[conditions]
    if "recurrent_dropout" in options and not build().products:
        options = {name: value for name, value in options.items() if name not in ("recurrent_dropout", "weight_drop")}
    fused, reference = layers(build, kernel, **options)
    image = (3, 2) if kernel else ()
    assert_all_close(conditions, results(fused, image, **call), results(reference, image, **call), 1e-12)


# Parameters of the step; a share of the input read by itself; a reduction over units; no product.
COMPILED = ["peephole_lstm", *(pytest.param(n, marks=pytest.mark.slow) for n in ("gru", "layer_norm_gru", "indrnn"))]


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_graphs_give_what_the_reference_gives(name: str, dtype: torch.dtype) -> None:
    with compiling(True):
        fused, reference = layers(partial(build_cell, name), 0, dtype)
        found = results(fused, lengths=LENGTHS)
    assert_all_close(name, found, results(reference, lengths=LENGTHS), 1e-5 if dtype == torch.float32 else 1e-10)


def test_without_a_compiler_it_says_once_what_is_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    monkeypatch.setattr(compiled, "_made", {})
    compiled.compiler_at_hand.cache_clear()
    fused, reference = layers(partial(build_cell, "lstm"), 0)
    with (
        compiling(True),
        pytest.warns(UserWarning, match=r"nothing is compiled, because there is no C\+\+ compiler here"),
    ):
        found = results(fused)
    assert_all_close("uncompiled", found, results(reference), 1e-12)
    with compiling(True):
        results(fused)  # no second warning, which would be an error
    compiled.compiler_at_hand.cache_clear()


def test_a_second_backward_through_the_same_graph_gives_the_same() -> None:
    fused, _ = layers(partial(build_cell, "gru"), 0)
    x = numbers(TIME, BATCH, INPUT).requires_grad_()
    output, _ = fused(x)
    first = torch.autograd.grad(output.square().sum(), [x, *fused.parameters()], retain_graph=True)
    second = torch.autograd.grad(output.square().sum(), [x, *fused.parameters()])
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_an_output_written_into_before_the_backward_is_refused() -> None:
    fused, _ = layers(partial(build_cell, "lstm"), 0)
    output, _ = fused(numbers(TIME, BATCH, INPUT).requires_grad_())
    total = output.sum()
    with torch.no_grad():
        output.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


class LooksAtNumbers(Cell):
    """A step whose course depends on numbers can't be cut."""

    gates = ("candidate",)
    products = {"hidden": (gates, 1)}  # noqa: RUF012 - a cell's data, never written to

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        n = tanh(U("hidden", s["h"])["candidate"])
        return ({"h": -n} if n.sum() > 0 else {"h": n}), {"candidate": n}


def test_a_cell_that_looks_at_numbers_is_refused() -> None:
    with pytest.raises(
        CellwiseError, match=r"engine 'fused' can't run LooksAtNumbers .* allowed: auto, fastest, reference"
    ):
        Recurrent(LooksAtNumbers(), INPUT, HIDDEN, engine="fused")


def test_a_layer_on_another_engine_tries_no_step() -> None:
    """A step from outside may do what it likes, write a file or wait: building a layer must not run it."""

    class Busy(Cell):
        gates = ("candidate",)
        ran = 0

        def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
            Busy.ran += 1
            return {"h": tanh(x["candidate"])}, {"candidate": x["candidate"]}

    Recurrent(Busy(), INPUT, HIDDEN)
    Recurrent(Busy(), INPUT, HIDDEN, engine="reference")
    assert Busy.ran == 0


def test_only_what_needs_a_gradient_gets_one() -> None:
    fused, _ = layers(partial(build_cell, "peephole_lstm"), 0)
    for parameter in fused.parameters():
        parameter.requires_grad_(False)
    x = numbers(TIME, BATCH, INPUT).requires_grad_()
    fused(x)[0].sum().backward()
    assert x.grad is not None and all(parameter.grad is None for parameter in fused.parameters())
    assert not fused(x.detach())[0].requires_grad
