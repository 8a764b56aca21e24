"""What a recurrent layer can do beyond running its cell: connections, regularisation, biases, initialisation.

Four things are called dropout and are four options: `dropout` (between layers, new at each step), `locked_dropout`
(between layers, one mask a sequence), `recurrent_dropout` (on the operand of each recurrent product, one mask a
sequence) and `weight_drop` (on the recurrent matrices). All are off in evaluation; zoneout is its expectation there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError, unknown
from cellwise.recurrent.checks import check_rate
from cellwise.settings import parse, typed

Connections = Literal["plain", "residual", "skip"]
InputInit = Literal["uniform", "xavier"]
RecurrentInit = Literal["uniform", "orthogonal", "identity"]


@dataclass(frozen=True)
class LayerOptions:
    """Options of a layer, the same on vectors and on images.

    Attributes:
        bias: whether gates have biases.
        recurrent_bias: a second bias for each gate that a product feeds, added to the first, as torch.nn has: the same
            function, but twice the learning rate and weight decay of a bias.
        connections: `plain`; `residual`: a layer's input is added to its output where both are equally wide (He et al.
            2016, arXiv 1512.03385; on LSTMs Wu et al. 2016, arXiv 1609.08144); `skip`: each layer above the first
            sees the first one's input too (Graves 2013, arXiv 1308.0850).
        layer_norm: layer normalisation over units between layers (Ba et al. 2016, arXiv 1607.06450).
        learned_state: the initial state is a parameter, one number a unit, for every state that the cell allows; it
            starts at the cell's own.
        dropout: probability, on the output of each layer but the last, new at each step.
        locked_dropout: the same with one mask a sequence (Gal and Ghahramani 2016, arXiv 1512.05287).
        recurrent_dropout: probability, on the operand of each recurrent product, one mask a sequence and row (the
            same paper); on images a whole channel.
        zoneout: probability that a unit keeps its old value (Krueger et al. 2017, arXiv 1606.01305), for every state
            that the cell allows, or by state: `{"c": 0.5, "h": 0.05}`.
        weight_drop: probability, on the entries of the recurrent matrices, one mask a call (Merity et al. 2018, arXiv
            1708.02182).
        input_init: `uniform` (U(-k, k), k = 1 / sqrt(hidden), as torch.nn) or `xavier` (Glorot uniform), per gate.
        recurrent_init: `uniform`, `orthogonal` or `identity` (Le et al. 2015, arXiv 1504.00941), per gate.
        chrono: longest dependency expected, in steps; the biases of gates that keep memory start at
            log U(1, chrono - 1) (Tallec and Ollivier 2018, arXiv 1804.11188) in place of the cell's own offsets.
        recompute: steps of a chunk: in training only the state before each chunk is kept and the chunk is run once
            more on the way back, so memory does not grow with the steps. The same function; engine `fused` alone.
    """

    bias: bool = True
    recurrent_bias: bool = False
    connections: Connections = "plain"
    layer_norm: bool = False
    learned_state: bool = False
    dropout: float = 0.0
    locked_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float | Mapping[str, float] = 0.0
    weight_drop: float = 0.0
    input_init: InputInit = "uniform"
    recurrent_init: RecurrentInit = "uniform"
    chrono: int | None = None
    recompute: int | None = None

    @property
    def changes_the_step(self) -> bool:
        """Whether something is wrapped around the step that torch's own kernels don't have."""
        rates = self.zoneout.values() if isinstance(self.zoneout, Mapping) else (self.zoneout,)
        return self.recurrent_dropout > 0 or any(rate > 0 for rate in rates)

    @property
    def draws(self) -> bool:
        """Whether a call in training draws random numbers."""
        rates = (self.dropout, self.locked_dropout, self.weight_drop)
        return self.changes_the_step or any(rate > 0 for rate in rates)

    def with_dropout(self, dropout: float, num_layers: int) -> LayerOptions:
        """Return the options with a network's dropout between layers, where there are two and no locked dropout."""
        return dataclasses.replace(self, dropout=0.0 if num_layers < 2 or self.locked_dropout else dropout)

    def zoneout_rates(self, cell: Cell) -> dict[str, float]:
        """Return the rate by state, states with rate 0 left out."""
        if isinstance(self.zoneout, Mapping):
            rates = dict(self.zoneout)
        else:
            rates = dict.fromkeys(free_states(cell), self.zoneout)
        return {name: rate for name, rate in rates.items() if rate > 0}


def free_states(cell: Cell) -> tuple[str, ...]:
    """Return the states that zoneout may hold and whose start may be learned."""
    return cell.states if cell.free_states is None else cell.free_states


def check_options(options: LayerOptions, cell: Cell, name: str, num_layers: int) -> None:
    """Refuse options out of bounds, and those that would change nothing.

    Args:
        options: to check.
        cell: with its options.
        name: what the message calls the cell.
        num_layers: of the layer.

    Raises:
        CellwiseError: one line that says what is allowed.
    """
    plain = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    parse(LayerOptions, plain, "")
    for key in ("dropout", "locked_dropout", "recurrent_dropout", "weight_drop"):
        check_rate(key, plain[key])
    _check_zoneout(options.zoneout, cell, name)
    if options.dropout and options.locked_dropout:
        raise CellwiseError(f"dropout={options.dropout} and locked_dropout={options.locked_dropout}: choose one")
    for key, reason in _without_effect(options, cell, name, num_layers).items():
        if plain[key] != getattr(LayerOptions(), key):
            raise CellwiseError(f"{key}={typed(plain[key])} has no effect {reason}")
    if options.recurrent_init == "identity" and cell.structure:
        raise CellwiseError(f"recurrent_init=identity makes the antisymmetric matrix of {name!r} zero; choose another")
    if options.recurrent_bias and not options.bias:
        raise CellwiseError("recurrent_bias=true is a second bias; it needs bias=true")
    if options.recompute is not None and options.recompute < 1:
        raise CellwiseError(f"recompute={options.recompute} must be 1 or more: the steps of a chunk")
    if options.chrono is not None:
        _check_chrono(options, cell, name)


def _without_effect(options: LayerOptions, cell: Cell, name: str, num_layers: int) -> dict[str, str]:
    """Why an option that is set changes nothing, by option."""
    found = {}
    if not cell.products:
        keys = ("recurrent_dropout", "weight_drop", "recurrent_bias")
        found = dict.fromkeys(keys, f"on {name!r}, which has no recurrent matrix")
    elif not twice_biased(cell):
        found = {"recurrent_bias": f"on {name!r}, whose products feed no gate that could have a second bias"}
    if num_layers < 2:
        for key in ("dropout", "locked_dropout", "layer_norm"):
            found[key] = "on one layer: it stands between two"
        if options.connections == "skip":
            found["connections"] = "on one layer: it leads to the second and those above"
    return found


def twice_biased(cell: Cell) -> tuple[str, ...]:
    """Return the gates that can have a second bias: a product feeds them, and none of their parts has its own."""
    fed = {name for feeds, _ in cell.products.values() for name in feeds}
    apart = {cell.parts[part] for part in cell.part_biases}
    return tuple(gate for gate in cell.gates if gate in fed and gate not in apart)


def _check_zoneout(zoneout: float | Mapping[str, float], cell: Cell, name: str) -> None:
    if not isinstance(zoneout, Mapping):
        check_rate("zoneout", zoneout)
        return
    allowed = free_states(cell)
    for state, rate in zoneout.items():
        if state not in allowed:
            raise unknown(f"state for zoneout of {name!r}", state, allowed)
        check_rate(f"zoneout[{state!r}]", rate)


def _check_chrono(options: LayerOptions, cell: Cell, name: str) -> None:
    assert options.chrono is not None
    if options.chrono < 3:
        raise CellwiseError(f"chrono={options.chrono} must be 3 or more: the longest dependency expected, in steps")
    if not cell.chrono:
        raise CellwiseError(f"chrono={options.chrono} has no effect on {name!r}, none of whose gates keeps memory")
    if not options.bias:
        raise CellwiseError(f"chrono={options.chrono} sets biases; it needs bias=true")
