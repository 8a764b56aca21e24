"""What the forward computes and the way back needs again is kept, where it costs no memory, or little.

The way back needs the gates: the derivative of a sigmoid or tanh is made of its result. Traced as they are, its graphs
compute them again from the pre-activations. Here a gate takes the place of its pre-activation as soon as nothing else
reads that; what finds no such place (an LSTM's tanh(c)) gets a buffer of its own, as many as `_ROOM` allows. Nothing is
said per cell: equal expressions of the traced graphs are found by their structure.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Set
from typing import Any

import torch
from torch.fx import Graph, Node

from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.tracing import Graphs, Traced

_ROOM = 0.5
"""Buffers beyond those of the gates and states, as a share of these."""

_aten = torch.ops.aten
_COSTLY = {
    *(_aten.sigmoid.default, _aten.tanh.default, _aten.exp.default, _aten.softplus.default, _aten.log.default),
    *(_aten.sin.default, _aten.cos.default, _aten.erf.default, _aten.gelu.default, _aten.elu.default),
    *(_aten.silu.default, _aten.log1p.default, _aten.expm1.default, _aten.mish.default),
}
"""Operators that take longer than reading their result again."""

Key = int
"""A number for each expression."""


def save(form: Form, graphs: Graphs) -> None:
    """Rewrite the graphs of a form so that costly values of the forward are kept for the way back."""
    made = _Made(form, graphs)
    chosen = made.needed(frozenset(made.costly))
    while True:
        homes, homeless = made.placed(chosen)
        room = int(_ROOM * (len(form.cell.gates) + len(form.cell.states)))
        if len(homeless) <= room:
            break
        chosen = made.needed(chosen - set(homeless[room:]))
    graphs.saved = [f"saved:{number}" for number in range(len(homeless))]
    homes |= dict(zip(homeless, graphs.saved, strict=True))
    for stage, traced in graphs.forward.items():
        before = {key: home for key, home in homes.items() if made.costly[key] < stage}
        _read(traced, made.keys_of(traced), before)
        _write(traced, {node: homes[key] for key, node in made.nodes(stage) if key in homes})
    for traced in graphs.backward.values():
        _read(traced, made.keys_of(traced), homes)
    for traced in (*graphs.forward.values(), *graphs.backward.values()):
        traced.graph.graph.eliminate_dead_code()
        traced.graph.recompile()


class _Made:
    """What the graphs of a form compute, by structure.

    Attributes:
        costly: keys of costly values of the forward, with the stage that computes each first.
    """

    def __init__(self, form: Form, graphs: Graphs):
        self._form, self._graphs = form, graphs
        self._numbers: dict[Hashable, Key] = {}
        self._keys = {id(traced): self._keyed(traced, stores=True) for traced in graphs.forward.values()}
        self._keys |= {id(traced): self._keyed(traced, stores=False) for traced in graphs.backward.values()}
        self._found: dict[int, dict[Key, Node]] = {}
        self.costly: dict[Key, int] = {}
        for stage, traced in graphs.forward.items():
            found = {key: node for node, key in self.keys_of(traced).items() if self._is_costly(node)}
            self._found[stage] = {key: node for key, node in found.items() if key not in self.costly}
            self.costly |= dict.fromkeys(self._found[stage], stage)

    def keys_of(self, traced: Traced) -> Mapping[Node, Key]:
        """Return what is known of each node of a graph."""
        return self._keys[id(traced)]

    def nodes(self, stage: int) -> Iterator[tuple[Key, Node]]:
        """Return the costly values that a stage of the forward computes first."""
        yield from self._found[stage].items()

    def needed(self, known: Set[Key]) -> frozenset[Key]:
        """Return which of some values the way back reads, were they all at hand."""
        return frozenset(
            key for traced in self._graphs.backward.values() for key in self._reached(traced, known) & known
        )

    def placed(self, chosen: Set[Key]) -> tuple[dict[Key, str], list[Key]]:
        """Return places for values, by name of a pre-activation that nobody reads any more, and those without one."""
        graphs, form = self._graphs, self._form
        behind = {key for traced in graphs.backward.values() for key in self._reached(traced, chosen)}
        read = {stage: self._reached(traced, self._before(chosen, stage)) for stage, traced in graphs.forward.items()}
        free = {}
        for number, names in enumerate([form.direct_names, *(form.pieces(name) for name in form.products)]):
            for name in names:
                key = self._numbers.get(_given(name))
                if key not in behind:
                    free[name] = max([number, *(stage for stage, keys in read.items() if key in keys)])
        homes: dict[Key, str] = {}
        homeless: list[Key] = []
        for key, stage in self.costly.items():
            if key in chosen:
                home = next((name for name, since in free.items() if since <= stage), None)
                if home is None:
                    homeless.append(key)
                else:
                    homes[key] = home
                    del free[home]
        return homes, homeless

    def _before(self, chosen: Set[Key], stage: int) -> set[Key]:
        return {key for key in chosen if self.costly[key] < stage}

    def _reached(self, traced: Traced, known: Set[Key]) -> set[Key]:
        """The values that a graph's results are made of, down to those at hand."""
        keys, seen = self.keys_of(traced), set[Key]()
        ahead = [_value(node) for node in traced.graph.graph.nodes if _stores(node)]
        while ahead:
            node = ahead.pop()
            if keys[node] in seen:
                continue
            seen.add(keys[node])
            if keys[node] not in known:
                ahead += node.all_input_nodes
        return seen

    def _is_costly(self, node: Node) -> bool:
        if node.target not in _COSTLY:
            return False
        shape = node.meta["val"].shape
        return (
            len(shape) == (3 if self._form.replicas else 2) and shape[-1] == self._form.hidden and not _one_row(shape)
        )

    def _keyed(self, traced: Traced, *, stores: bool) -> dict[Node, Key]:
        """What each node is, by structure: equal numbers, also of two graphs, for the same of the same arguments.

        What a graph of the forward stores as a product's result is what later graphs are given under that name.
        """
        nodes = traced.graph.graph.nodes
        names = [*traced.names, *traced.late]
        given = dict(zip((node for node in nodes if node.op == "placeholder"), names, strict=True))
        stored = {_value(n): given[n.args[0]] for n in nodes if stores and _stores(n) and _is_piece(given[n.args[0]])}
        keys: dict[Node, Key] = {}
        for node in nodes:
            name = given.get(node) or stored.get(node)
            what = _given(name) if name else (node.op, node.target, _plain(node.args, keys), _plain(node.kwargs, keys))
            keys[node] = self._numbers.setdefault(what, len(self._numbers))
        return keys


def _one_row(shape: torch.Size) -> bool:
    """Whether a value is the same for every row: of the step's parameters alone."""
    return shape[-2] == 1


def _stores(node: Node) -> bool:
    return node.target is _aten.copy_.default


def _value(node: Node) -> Node:
    value = node.args[1]
    assert isinstance(value, Node)
    return value


def _given(name: str) -> Hashable:
    return ("given", name)


def _is_piece(name: str) -> bool:
    return name.startswith(("share:", "part:"))


def _plain(value: Any, keys: Mapping[Node, Key]) -> Hashable:
    """An argument with numbers in the place of nodes."""
    if isinstance(value, Node):
        return ("node", keys[value])
    if isinstance(value, tuple | list):
        return tuple(_plain(one, keys) for one in value)
    if isinstance(value, Mapping):
        return tuple(sorted((name, _plain(one, keys)) for name, one in value.items()))
    return value if isinstance(value, Hashable) else id(value)


def _read(traced: Traced, keys: Mapping[Node, Key], homes: Mapping[Key, str]) -> None:
    """Let a graph read values where they were kept."""
    for node in list(traced.graph.graph.nodes):
        if node in keys and keys[node] in homes:
            node.replace_all_uses_with(_argument(traced, homes[keys[node]], like=node))


def _write(traced: Traced, homes: Mapping[Node, str]) -> None:
    """Let a graph keep values, instead of what it stored there before."""
    graph = traced.graph.graph
    for node, home in homes.items():
        place = _argument(traced, home, like=node)
        for old in [user for user in place.users if _stores(user) and user.args[0] is place]:
            graph.erase_node(old)
        with graph.inserting_before(_end(graph)):
            graph.call_function(_aten.copy_.default, (place, node))


def _argument(traced: Traced, name: str, like: Node) -> Node:
    """The argument of a name, a new one before those that come late if there is none yet."""
    arguments: list[Node] = [node for node in traced.graph.graph.nodes if node.op == "placeholder"]
    if name in traced.names:
        return arguments[traced.names.index(name)]
    with traced.graph.graph.inserting_after(arguments[len(traced.names) - 1]):
        found: Node = traced.graph.graph.placeholder(name.replace(":", "_"))
    found.meta["val"] = like.meta["val"]
    traced.names.append(name)
    return found


def _end(graph: Graph) -> Node:
    end: Node = next(node for node in reversed(graph.nodes) if node.op == "output")
    return end
