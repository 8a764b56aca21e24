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
from typing import Any, NamedTuple, Protocol

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


class _Call(NamedTuple):
    """The operator's arguments, in the order of its schema; `seed` is None where nothing is drawn."""

    x: Tensor
    state: list[Tensor]
    parameters: list[Tensor]
    lengths: Tensor | None
    resets: Tensor | None
    seed: Tensor | None
    training: bool
    key: str


_ARGUMENTS = (
    "Tensor x, Tensor[] state, Tensor[] parameters, Tensor? lengths, Tensor? resets, Tensor? seed, "
    "bool training, str key"
)


@torch.library.custom_op("cellwise::layer", mutates_args=(), schema=f"({_ARGUMENTS}) -> Tensor[]")
def _layer(*arguments: Any) -> list[Tensor]:
    def compute() -> list[Tensor]:
        with torch.no_grad():
            found = _run(_Call(*arguments))
        # An operator's results share no memory with its arguments and lie in memory as its shapes say.
        return [value.clone(memory_format=torch.contiguous_format) for value in found]

    return _apart(compute)


@_layer.register_fake
def _(*arguments: Any) -> list[Tensor]:
    call = _Call(*arguments)
    x, layer = call.x, _layers[call.key]
    batch = x.shape[0 if getattr(layer, "batch_first", False) else 1]
    image = x.shape[3:]
    shape = (layer.num_layers * layer.directions, batch, layer.hidden_size, *image)
    output = x.new_empty((*x.shape[:2], layer.hidden_size * layer.directions, *image))
    return [output, *(x.new_empty(shape) for _ in layer.cell.states)]


@torch.library.custom_op(
    "cellwise::layer_backward", mutates_args=(), schema=f"(Tensor[] gradients, {_ARGUMENTS}) -> Tensor[]"
)
def _layer_backward(gradients: list[Tensor], *arguments: Any) -> list[Tensor]:
    call = _Call(*arguments)

    def differentiate() -> list[Tensor]:
        leaves = [value.detach().requires_grad_() for value in _differentiable(call)]
        states = 1 + len(call.state)
        outputs = _run(call._replace(x=leaves[0], state=leaves[1:states], parameters=leaves[states:]))
        reached = [(value, given) for value, given in zip(outputs, gradients, strict=True) if value.requires_grad]
        if not reached:  # no step at all: nothing depends on anything
            return [torch.zeros_like(leaf) for leaf in leaves]
        values, given = zip(*reached, strict=True)
        found = torch.autograd.grad(values, leaves, given, allow_unused=True)
        pairs = zip(leaves, found, strict=True)
        return [torch.zeros_like(leaf) if value is None else value.contiguous() for leaf, value in pairs]

    return _apart(differentiate)


@_layer_backward.register_fake
def _(gradients: list[Tensor], *arguments: Any) -> list[Tensor]:
    return [value.new_empty(value.shape) for value in _differentiable(_Call(*arguments))]


def _differentiable(call: _Call) -> list[Tensor]:
    """What gets a gradient, in the order in which the backward returns it."""
    return [call.x, *call.state, *call.parameters]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    call = _Call(*inputs)
    ctx.counts, ctx.rest = (len(call.state), len(call.parameters)), (call.training, call.key)
    ctx.save_for_backward(*_differentiable(call), call.lengths, call.resets, call.seed)


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


def _run(call: _Call) -> list[Tensor]:
    """The layer with these parameters, its masks from the seed."""
    twin = _twin(call.key, call.parameters).train(call.training)
    given = dict(zip(twin.cell.states, call.state, strict=True)) if call.state else None
    devices = [value.device for value in call.parameters if value.device.type == "cuda"][:1]
    with torch.autocast(call.x.device.type, enabled=False), torch.random.fork_rng(devices=devices):
        if call.seed is not None:
            torch.manual_seed(int(call.seed))
        output, new = twin.run(call.x, given, call.lengths, call.resets)
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
