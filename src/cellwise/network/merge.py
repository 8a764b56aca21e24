"""Several inputs, each with a recurrent layer of its own, merged per step or per row.

Late fusion: each input keeps its own memory, of a cell and size of its own, and the outputs are concatenated, added or
multiplied. Layers may be dense or on images (`ConvRecurrent`; all of them then), readouts as `readout.py` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from cellwise.cells.contract import State
from cellwise.errors import CellwiseError, unknown
from cellwise.network.readout import Readout
from cellwise.network.settings import ReadoutName
from cellwise.recurrent.layer import ConvRecurrent, Recurrent

How = Literal["concatenate", "sum", "product"]
HOWS: tuple[str, ...] = get_args(How)
RowLengths = Tensor | list[int] | None


class Merge(nn.Module):
    """Named inputs through their own recurrent layers into one output.

    Args:
        layers: by name of the input, in the order in which they are concatenated; time first.
        how: `concatenate`, `sum` or `product`; the last two want equal widths.
        readout: merge what this reads out of each row; None to merge step by step.

    Raises:
        CellwiseError: no layer, a name or layer that can't be used, widths that differ, an unknown `how` or readout.
    """

    def __init__(
        self,
        layers: Mapping[str, Recurrent | ConvRecurrent],
        *,
        how: How = "concatenate",
        readout: ReadoutName | None = None,
    ):
        super().__init__()
        if how not in HOWS:
            raise unknown("way to merge", how, HOWS)
        _check_layers(layers)
        widths = {name: layer.hidden_size * layer.directions for name, layer in layers.items()}
        if how != "concatenate" and len(set(widths.values())) > 1:
            raise CellwiseError(
                f"how={how!r} wants outputs of equal width, not {_listed(widths)}; give each layer the same hidden "
                "size, or take how='concatenate'"
            )
        self.how, self.names = how, tuple(layers)
        self.output_size = sum(widths.values()) if how == "concatenate" else next(iter(widths.values()))
        self.layers = nn.ModuleDict(layers)
        self.readouts: nn.ModuleDict | None = None
        if readout is not None:
            self.readouts = nn.ModuleDict(
                {name: Readout(readout, widths[name], bidirectional=layers[name].directions == 2) for name in layers}
            )

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        states: Mapping[str, State] | None = None,
        lengths: Mapping[str, RowLengths] | RowLengths = None,
    ) -> tuple[Tensor, dict[str, State]]:
        """Run each layer on its input and merge.

        Args:
            inputs: by name, (time, batch, features) or (time, batch, channels, height, width); per step all of the same
                time, per row each of its own.
            states: by name of the input; a layer without one starts from its cell's initial state.
            lengths: (batch,) valid steps per row, the same for every input; per row also by name of the input, where
                a name left out has full rows.

        Returns:
            Output (time, batch, width, ...), or per row (batch, width, ...); and the states by name of the input.

        Raises:
            ValueError: a name, shape or length that does not fit.
        """
        self._check(inputs, states or {}, lengths)
        outputs, new = [], {}
        for name in self.names:
            own = lengths.get(name) if isinstance(lengths, Mapping) else lengths
            output, new[name] = self.layers[name](inputs[name], (states or {}).get(name), own)
            outputs.append(output if self.readouts is None else self.readouts[name](output, own))
        return self._joined(outputs), new

    def _joined(self, outputs: list[Tensor]) -> Tensor:
        if len({output.shape[3 if self.readouts is None else 2 :] for output in outputs}) > 1:
            raise ValueError(
                f"images differ in size: {_listed(dict(zip(self.names, map(_shape, outputs), strict=True)))}"
            )
        if self.how == "concatenate":
            return torch.cat(outputs, dim=2 if self.readouts is None else 1)
        return reduce(torch.add if self.how == "sum" else torch.mul, outputs)

    def _check(
        self,
        inputs: Mapping[str, Tensor],
        states: Mapping[str, State],
        lengths: Mapping[str, RowLengths] | RowLengths,
    ) -> None:
        if set(inputs) != set(self.names):
            raise ValueError(f"inputs are {sorted(inputs)}; this merges {sorted(self.names)}")
        given: dict[str, Mapping[str, object]] = {"states": states}
        if isinstance(lengths, Mapping):
            given["lengths"] = lengths
            if self.readouts is None:
                raise ValueError("step by step, every input has the same lengths; give one (batch,), not one by name")
        for what, names in given.items():
            if not set(names) <= set(self.names):
                raise ValueError(f"{what} has {sorted(names)}; this merges {sorted(self.names)}")
        per_row = self.readouts is not None
        shared = {name: (x.shape[1:2] if per_row else x.shape[:2]) for name, x in inputs.items()}
        if len(set(shared.values())) > 1:
            axes = "batch" if per_row else "time and batch"
            raise ValueError(f"inputs differ in {axes}: {_listed({name: tuple(s) for name, s in shared.items()})}")


def _check_layers(layers: Mapping[str, Recurrent | ConvRecurrent]) -> None:
    if not layers:
        raise CellwiseError("there is nothing to merge; give layers={'name': Recurrent(...), ...}")
    for name, layer in layers.items():
        if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.ModuleDict, name):
            raise CellwiseError(f"an input can't be called {name!r}; take a name such as 'weather'")
        if not isinstance(layer, Recurrent | ConvRecurrent):
            raise CellwiseError(f"layers[{name!r}] must be a Recurrent or a ConvRecurrent, not {type(layer).__name__}")
        if getattr(layer, "batch_first", False):
            raise CellwiseError(
                f"layers[{name!r}] is batch first; build it with batch_first=False: this room is time first"
            )
    if len({type(layer) for layer in layers.values()}) > 1:
        raise CellwiseError("dense layers and layers on images can't be merged with each other")


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)


def _listed(sizes: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {size}" for name, size in sizes.items())
