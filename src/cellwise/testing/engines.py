"""The check of the engines: all that take a cell agree with the reference, or `auto` must not choose them."""

from __future__ import annotations

import torch
from torch import Tensor

from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import INPUT, Build, assert_all_close, dense, engine_names, numbers, reached_state
from cellwise.testing.lengths import BATCH, LENGTHS, TIME  # so that the graphs of those checks serve here too

ALLOWED = {torch.float32: 1e-5, torch.float64: 1e-10}  # max |a - b| / max |b|
# Pairwise: each two of a number's kind, lengths or none, biases or none. All eight would take twice as long.
CASES = (
    (torch.float32, None, True),
    (torch.float32, LENGTHS, False),
    (torch.float64, None, False),
    (torch.float64, LENGTHS, True),
)


def check_engines(build: Build) -> None:
    """Outputs, states and every gradient; with and without lengths and biases, two layers, both directions."""
    for engine in engine_names(build())[1:]:
        for dtype, lengths, bias in CASES:
            layer, reference = (
                dense(build, dtype=dtype, num_layers=2, bidirectional=True, bias=bias, engine=name)
                for name in (engine, "reference")
            )
            start = reached_state(reference, BATCH)
            results, expected = _results(layer, start, lengths), _results(reference, start, lengths)
            case = f"{dtype}, {'with' if lengths else 'without'} lengths, {'with' if bias else 'without'} biases"
            assert_all_close(f"engine {engine}, {case}:", results, expected, ALLOWED[dtype])


def _results(layer: Recurrent, state: dict[str, Tensor], lengths: list[int] | None) -> dict[str, Tensor]:
    """Output, states, and the gradient of a random sum of both by every parameter, the input and the state."""
    dtype = next(layer.parameters()).dtype
    x = numbers(TIME, BATCH, INPUT, dtype=dtype).requires_grad_()
    start = {name: value.clone().requires_grad_() for name, value in state.items()}
    output, last = layer(x, start, lengths)
    values = [output, *last.values()]
    weights = [numbers(*value.shape, dtype=dtype, seed=40 + n) for n, value in enumerate(values)]
    leaves = {"input": x} | start | dict(layer.named_parameters())
    gradients = torch.autograd.grad(values, list(leaves.values()), weights)
    named = {f"gradient of {name}": value for name, value in zip(leaves, gradients, strict=True)}
    return {"output": output} | {f"state {name}": value for name, value in last.items()} | named
