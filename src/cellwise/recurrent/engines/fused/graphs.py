"""The pointwise graphs of a layer's step, forward and backward, traced from the cut step; nothing is written per cell.

With k products, between them, on the way forward,

    stage 0       -> operand of product 1 (no graph where that is a state as it is)
    stage j < k   results 1 .. j -> operand of product j + 1
    stage k       all results    -> new state and output

and on the way back, last product first, from the derivatives of new state, output and the operands known so far,

    stage k .. 1  -> derivative of the result of product j
    stage 0       -> derivatives of the old state, of the input's shares that the step reads itself, of the parameters

where stages 1 and 0 are one graph if the first operand is a state as it is. A graph returns nothing: it writes into
what it is given. So the input's share becomes the pre-activation, and on the way back that becomes its derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from cellwise.recurrent.engines.fused.cut import operand, whole
from cellwise.recurrent.engines.fused.form import Form, Ingredients

Compute = Callable[[dict[str, Tensor]], dict[str, Tensor]]
"""From what a graph is given, by name, to what it writes, by the name of the buffer."""


@dataclass(frozen=True)
class Stage:
    """A graph to be: the names of what it takes, in order, and what it computes of it.

    `names` lie in buffers that are there before the loop over time begins; `late` are results of products.
    """

    names: tuple[str, ...]
    late: tuple[str, ...]
    compute: Compute

    def __call__(self, *tensors: Tensor) -> tuple[()]:
        """Compute and write; nothing is written before all is computed."""
        given = dict(zip((*self.names, *self.late), tensors, strict=True))
        for name, value in self.compute(given).items():
            given[name].copy_(value)
        return ()


def forward(form: Form, stage: int) -> Stage:
    """Return a stage of the forward."""
    products, k = form.products, len(form.products)
    own = products[stage - 1] if stage else None
    shown = ("output",) if form.lengths else ()
    writes = (f"operand:{products[stage]}",) if stage < k else (*(f"new:{name}" for name in form.cell.states), *shown)

    def compute(given: dict[str, Tensor]) -> dict[str, Tensor]:
        results = _results(form, given, stage)
        found = {}
        if own is not None:
            product = given[f"product:{own}"]
            results[own] = results[own] + product if form.merges(own) else product
            found[form.place(own)] = results[own]
        if stage < k:
            return {**found, f"operand:{products[stage]}": operand(form, given, stage, results)}
        stepped = whole(form, given, results)
        assert stepped.state is not None and stepped.output is not None
        found |= {f"new:{name}": value for name, value in stepped.state.items()}
        return found | ({"output": stepped.output} if form.lengths else {})

    return Stage((*form.names, *writes), () if own is None else (f"product:{own}",), compute)


def backward_stages(form: Form) -> tuple[int, ...]:
    """Return the stages of the way back in their order."""
    return tuple(range(len(form.products), -1 if form.start is None else 0, -1))


def backward(form: Form, stage: int) -> Stage:
    """Return a stage of the way back.

    `d_new` are the derivatives of the state after the step; the last stage makes of them those of the state before it.
    `later` is what the state that is the first operand gets through the product of the step after this one.
    """
    products, states = form.products, form.cell.states
    ends = stage == backward_stages(form)[-1]
    wanted = _wanted(form, stage, ends=ends)
    results = products[stage:] if ends else products[stage - 1 : stage]
    names = (
        *form.names,
        "d_output",
        *(f"d_new:{name}" for name in states),
        *(f"d_result:{name}" for name in results),
        *((f"d_{name}" for name in form.learned_names) if ends else ()),
    )
    late = (*(() if form.start is None else ("later",)), *(f"d_operand:{name}" for name in products[stage:]))

    def compute(given: dict[str, Tensor]) -> dict[str, Tensor]:
        def step(*values: Tensor) -> tuple[Tensor, ...]:
            changed = given | dict(zip(wanted, values, strict=True))
            stepped = whole(form, changed, _results(form, changed, len(products)))
            assert stepped.state is not None and stepped.output is not None
            return (stepped.output, *(stepped.state[name] for name in states), *stepped.operands[stage:])

        d_new = {name: given[f"d_new:{name}"] for name in states}
        if form.start is not None:
            d_new[form.start] = d_new[form.start] + given["later"]
        pull = torch.func.vjp(step, *(given[name] for name in wanted))[1]
        cotangents = (given["d_output"], *d_new.values(), *(given[f"d_operand:{name}"] for name in products[stage:]))
        gradients = dict(zip(wanted, pull(cotangents), strict=True))
        if not ends:
            return {f"d_result:{products[stage - 1]}": gradients[form.place(products[stage - 1])]}
        found = {f"d_new:{name}": gradients.pop(f"state:{name}") for name in states}
        found |= {f"d_{name}": given[f"d_{name}"] + gradients.pop(name) for name in form.learned_names}
        return found | gradients | {form.place(name): given[f"d_result:{name}"] for name in products[stage:]}

    return Stage(names, late, compute)


def traced(stage: Stage, examples: Sequence[Tensor]) -> GraphModule:
    """Return a stage as a graph of torch's operators, for tensors of these shapes and strides; nothing is computed."""
    graph = make_fx(stage, tracing_mode="fake")(*examples)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _wanted(form: Form, stage: int, *, ends: bool) -> tuple[str, ...]:
    """The names whose derivatives a stage of the way back finds."""
    own = (form.place(form.products[stage - 1]),) if stage else ()
    if not ends:
        return own
    direct = (f"input:{number}" for number, region in enumerate(form.regions) if region.product is None)
    return (*own, *direct, *(f"state:{name}" for name in form.cell.states), *form.learned_names)


def _results(form: Form, given: Ingredients, known: int) -> dict[str, Tensor]:
    """The results of the first `known` products, as they stand in the step's buffers."""
    return {name: given[form.place(name)] for name in form.products[:known]}
