"""A layer as one opaque operator under `torch.compile` and `torch.export`.

Traced step by step, a loop over time is unrolled: minutes to compile at 1,000 steps, and again for another number of
them. So a compiler sees a whole layer (all its layers and directions) as one call of known output shapes. The backward
is an operator too; it runs the layer again, with the same random masks, because an operator keeps no graph.
"""

from __future__ import annotations

import copy
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.errors import CellwiseError
from cellwise.recurrent.options import LayerOptions


class Layer(Protocol):
    """What the operator knows of a layer, which is a module besides."""

    cell: Cell
    num_layers: int
    directions: int
    hidden_size: int
    key: str
    training: bool
    options: LayerOptions

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters."""
        ...


_layers: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def register(layer: Layer) -> str:
    """Make a layer known to the operator; returns the key by which a compiled graph names it."""
    key = uuid.uuid4().hex
    _layers[key] = layer
    return key


def call(
    layer: Layer, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Any, resets: Tensor | None
) -> tuple[Tensor, State]:
    """Return what `layer(x, state, lengths, resets)` returns, as one operator.

    Differences: the layer computes in the dtype of its parameters, also under autocast. An operator has no batching
    rule and no second derivative: around a layer, `vmap`, `torch.func.grad` and double backward work uncompiled alone.
    """
    parameters = list(layer.parameters())
    names = layer.cell.states
    given = [] if state is None else [state[name].to(parameters[0].dtype) for name in names]
    steps = None if lengths is None else torch.as_tensor(lengths, device=x.device)
    training = layer.training
    seed = torch.randint(2**62, (), device="cpu") if training and layer.options.draws else None
    output, *new = _layer(x.to(parameters[0].dtype), given, parameters, steps, resets, seed, training, layer.key)
    return output, dict(zip(names, new, strict=True))


@torch.library.custom_op("cellwise::layer", mutates_args=())
def _layer(
    x: Tensor,
    state: list[Tensor],
    parameters: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    seed: Tensor | None,
    training: bool,
    key: str,
) -> list[Tensor]:
    def compute() -> list[Tensor]:
        with torch.no_grad():
            found = _run(x, state, parameters, lengths, resets, seed, training, key)
        # An operator's results share no memory with its arguments and lie in memory as its shapes say.
        return [value.clone(memory_format=torch.contiguous_format) for value in found]

    return _apart(compute)


@_layer.register_fake
def _(
    x: Tensor,
    state: list[Tensor],
    parameters: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    seed: Tensor | None,
    training: bool,
    key: str,
) -> list[Tensor]:
    layer = _layers[key]
    batch = x.shape[0 if getattr(layer, "batch_first", False) else 1]
    image = x.shape[3:]
    shape = (layer.num_layers * layer.directions, batch, layer.hidden_size, *image)
    output = x.new_empty((*x.shape[:2], layer.hidden_size * layer.directions, *image))
    return [output, *(x.new_empty(shape) for _ in layer.cell.states)]


@torch.library.custom_op("cellwise::layer_backward", mutates_args=())
def _layer_backward(
    gradients: list[Tensor],
    x: Tensor,
    state: list[Tensor],
    parameters: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    seed: Tensor | None,
    training: bool,
    key: str,
) -> list[Tensor]:
    def differentiate() -> list[Tensor]:
        leaves = [value.detach().requires_grad_() for value in (x, *state, *parameters)]
        own_state, own_parameters = leaves[1 : 1 + len(state)], leaves[1 + len(state) :]
        outputs = _run(leaves[0], own_state, own_parameters, lengths, resets, seed, training, key)
        reached = [(value, given) for value, given in zip(outputs, gradients, strict=True) if value.requires_grad]
        if not reached:  # no step at all: nothing depends on anything
            return [torch.zeros_like(leaf) for leaf in leaves]
        values, given = zip(*reached, strict=True)
        found = torch.autograd.grad(values, leaves, given, allow_unused=True)
        pairs = zip(leaves, found, strict=True)
        return [torch.zeros_like(leaf) if value is None else value.contiguous() for leaf, value in pairs]

    return _apart(differentiate)


@_layer_backward.register_fake
def _(
    gradients: list[Tensor],
    x: Tensor,
    state: list[Tensor],
    parameters: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    seed: Tensor | None,
    training: bool,
    key: str,
) -> list[Tensor]:
    return [value.new_empty(value.shape) for value in (x, *state, *parameters)]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, state, parameters, lengths, resets, seed, training, key = inputs
    ctx.counts, ctx.rest = (len(state), len(parameters)), (training, key)
    ctx.save_for_backward(x, *state, *parameters, lengths, resets, seed)


def _backward(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    x, *rest = ctx.saved_tensors
    states, parameters = ctx.counts
    state, own, guards = rest[:states], rest[states : states + parameters], rest[states + parameters :]
    d_x, *found = _layer_backward(gradients, x, state, own, *guards, *ctx.rest)
    return d_x, found[:states], found[states:], None, None, None, None, None


_layer.register_autograd(_backward, setup_context=_keep)


def _apart(compute: Callable[[], list[Tensor]]) -> list[Tensor]:
    """Compute in a thread of its own, because inside an operator torch has autograd switched off for the thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(compute).result()


def _run(
    x: Tensor,
    state: list[Tensor],
    parameters: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    seed: Tensor | None,
    training: bool,
    key: str,
) -> list[Tensor]:
    """The layer with these parameters, its masks from the seed."""
    twin = _twin(key, parameters).train(training)
    given = dict(zip(twin.cell.states, state, strict=True)) if state else None
    devices = [value.device for value in parameters if value.device.type == "cuda"][:1]
    with torch.autocast(x.device.type, enabled=False), torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(int(seed))
        output, new = twin.run(x, given, lengths, resets)
    return [output, *(new[name] for name in twin.cell.states)]


def _twin(key: str, parameters: list[Tensor]) -> Any:
    """A copy of the layer with these parameters.

    The layer itself may be in use by another thread, have hooks (they ran around the operator), or be compiled as a
    whole, so that calling it would come back here.
    """
    layer = _layers.get(key)
    if layer is None:
        raise CellwiseError(
            "a compiled or exported graph holds a layer that is no more; it works in the process of its layer alone. "
            "cw.export_onnx(layer, path) writes a file that needs nothing else"
        )
    own = zip(layer.parameters(), parameters, strict=True)
    return copy.deepcopy(layer, {id(parameter): value for parameter, value in own})
