"""The same peephole LSTM in other libraries, with a problem's weights: JAX's `lax.scan` under `jit`, torchrecurrent.

They are installed for the bench alone (`pip install 'cellwise[bench]'`); where one is missing, its rows are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from cellwise.bench.problem import Problem, Step

CELL = "peephole_lstm"
_INPUT, _RECURRENT, _BIAS = "layers.0.input_weight", "layers.0.recurrent_weight.hidden", "layers.0.bias"
_PEEPHOLES = tuple(f"layers.0.extra.peephole_{gate}" for gate in ("input", "forget", "output"))
_NAMES = (
    _INPUT,
    _RECURRENT,
    _BIAS,
    *_PEEPHOLES,
)  # the gates of both are stacked as ours: input, forget, candidate, ...


def peers(problem: Problem, names: Sequence[str] = ("jax", "torchrecurrent")) -> tuple[list[Step], list[str]]:
    """Return the steps of the peers at hand, and a line for each that is not.

    Args:
        problem: of `peephole_lstm`, dense, in float32 on a CPU.
        names: of the peers asked for.
    """
    known = {"jax": of_jax, "torchrecurrent": of_torchrecurrent}
    missing = [name for name in names if find_spec(name) is None]
    absent = [f"{name} is not installed, so its rows are absent; `make bench` installs it" for name in missing]
    return [known[name](problem) for name in names if name not in missing], absent


def of_torchrecurrent(problem: Problem) -> Step:
    """Return the step of torchrecurrent's PeepholeLSTM; its second bias stays 0."""
    import torchrecurrent

    hidden, weights = problem.shape.hidden, problem.weights
    module = torchrecurrent.PeepholeLSTM(hidden, hidden).to(problem.dtype)
    parameters = {name.removeprefix("cells.0."): value for name, value in module.named_parameters()}
    given = {
        "weight_ih": weights[_INPUT],
        "weight_hh": weights[_RECURRENT],
        "bias_ih": weights[_BIAS],
        "bias_hh": torch.zeros_like(weights[_BIAS]),
        "weight_ph": torch.cat([weights[name] for name in _PEEPHOLES]),
    }
    with torch.no_grad():
        for name, value in given.items():
            parameters[name].copy_(value)

    def renamed(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        peepholes = dict(zip(_PEEPHOLES, gradients["weight_ph"].chunk(3), strict=True))
        ours = {_INPUT: "weight_ih", _RECURRENT: "weight_hh", _BIAS: "bias_ih"}
        return {name: gradients[theirs] for name, theirs in ours.items()} | peepholes

    return problem.step("torchrecurrent", lambda x: module(x)[0], parameters, renamed)


def of_jax(problem: Problem) -> Step:
    """Return the step of a peephole LSTM as `jax.lax.scan` under one `jit`, the input's product taken before the loop.

    That is its fastest form here: unrolling the scan and the product inside of it are slower. One thread, as torch has.
    """
    _on_one_thread()
    import jax

    run = jax.jit(_training_step)
    given = [_to_jax(value) for value in (problem.x, problem.d_output)]
    weights = tuple(_to_jax(problem.weights[name]) for name in _NAMES)

    def call() -> Any:
        return jax.block_until_ready(run(weights, *given))

    def results() -> dict[str, Tensor]:
        import numpy as np

        output, (by_weights, by_input) = call()
        values = dict(zip(("output", "input", *_NAMES), (output, by_input, *by_weights), strict=True))
        return {name: torch.from_numpy(np.array(value)) for name, value in values.items()}

    return Step(problem.cell, "jax", call, results)


def _on_one_thread() -> None:
    """JAX reads these once, when it is imported."""
    if "jax" in sys.modules:
        return
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    os.environ["NPROC"] = "1"  # the size of XLA's pool of threads


def _to_jax(value: Tensor) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(value.numpy())


def _training_step(weights: Any, x: Any, d_output: Any) -> Any:
    """The output, and the gradients of weights and x."""
    import jax

    output, back = jax.vjp(_peephole_lstm, weights, x)
    return output, back(d_output)


def _peephole_lstm(weights: Any, x: Any) -> Any:
    """Equations (1) to (6) of `cells/lstm.py` over x (time, batch, input)."""
    import jax
    import jax.numpy as jnp

    input_weight, recurrent_weight, bias, p_input, p_forget, p_output = weights

    def step(state: Any, share: Any) -> Any:
        h, c = state
        i, f, z, o = jnp.split(share + h @ recurrent_weight.T, 4, axis=-1)
        f = jax.nn.sigmoid(f + p_forget * c)
        i = jax.nn.sigmoid(i + p_input * c)
        c = f * c + i * jnp.tanh(z)
        h = jax.nn.sigmoid(o + p_output * c) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((x.shape[1], p_input.shape[0]), x.dtype)
    _, output = jax.lax.scan(step, (start, start), x @ input_weight.T + bias)
    return output
