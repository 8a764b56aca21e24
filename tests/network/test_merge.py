"""A merge is each layer run on its own, and the results joined."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from cellwise.cells.registry import cell_names
from cellwise.errors import CellwiseError
from cellwise.network.merge import HOWS, Merge
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import numbers
from tests.network.padding import assert_every_parameter_gets_a_gradient, assert_padding_is_nothing, some_lengths

few = settings(max_examples=10, deadline=None)
hows = pytest.mark.parametrize("how", HOWS)


def layers(cell: str = "gru", units: int = 4) -> dict[str, Recurrent]:
    torch.manual_seed(1)
    return {"weather": Recurrent("lstm", 3, 4), "traffic": Recurrent(cell, 2, units // 2, bidirectional=True)}


def merge(how: Any = "concatenate", readout: Any = None, cell: str = "gru") -> Merge:
    torch.manual_seed(2)
    return Merge(layers(cell), how=how, readout=readout).double()


def inputs(time: int = 5, batch: int = 3) -> dict[str, Tensor]:
    return {"traffic": numbers(time, batch, 2), "weather": numbers(time, batch, 3)}


def joined(how: str, one: Tensor, other: Tensor) -> Tensor:
    if how == "concatenate":
        return torch.cat([one, other], dim=-1)
    return one + other if how == "sum" else one * other


@hows
@pytest.mark.parametrize("cell", ["gru", *sorted(set(cell_names()) - {"gru"})])
def test_step_by_step_outputs_are_joined(how: str, cell: str) -> None:
    module, x, lengths = merge(how, cell=cell), inputs(), [5, 0, 2]
    output, states = module(x, None, lengths)
    one, first = module.layers["weather"](x["weather"], None, lengths)
    other, second = module.layers["traffic"](x["traffic"], None, lengths)
    torch.testing.assert_close(output, joined(how, one, other))
    torch.testing.assert_close(states, {"weather": first, "traffic": second})
    assert output.shape == (5, 3, module.output_size)


@hows
@pytest.mark.parametrize("readout", ["last", "mean", "attention"])
def test_row_by_row_readouts_are_joined_each_with_its_own_time_and_lengths(how: str, readout: str) -> None:
    module = merge(how, readout)
    x = {"weather": numbers(5, 3, 3), "traffic": numbers(2, 3, 2)}
    output, _ = module(x, None, {"weather": [5, 0, 2]})
    assert module.readouts is not None
    one = module.readouts["weather"](module.layers["weather"](x["weather"], None, [5, 0, 2])[0], [5, 0, 2])
    other = module.readouts["traffic"](module.layers["traffic"](x["traffic"])[0])
    torch.testing.assert_close(output, joined(how, one, other))
    assert output.shape == (3, module.output_size)


def test_the_last_of_a_bidirectional_layer_is_its_final_states() -> None:
    output, states = merge(readout="last")(inputs(), None, [5, 1, 2])
    both = states["traffic"]["h"]
    torch.testing.assert_close(output, torch.cat([states["weather"]["h"][0], both[0], both[1]], dim=-1))


def test_state_is_carried_from_one_call_to_the_next() -> None:
    torch.manual_seed(1)
    module = Merge({"a": Recurrent("gru", 2, 4), "b": Recurrent("lstm", 3, 4)}, how="sum").double()
    x = {"a": numbers(5, 3, 2), "b": numbers(5, 3, 3)}
    first, states = module({name: value[:2] for name, value in x.items()})
    second, last = module({name: value[2:] for name, value in x.items()}, states)
    torch.testing.assert_close((torch.cat([first, second]), last), module(x))


def test_layers_on_images_are_joined_along_channels() -> None:
    torch.manual_seed(1)
    module = Merge({"radar": ConvRecurrent("gru", 1, 2, 3), "wind": ConvRecurrent("lstm", 2, 3, 3)}).double()
    x = {"radar": numbers(4, 2, 1, 5, 6), "wind": numbers(4, 2, 2, 5, 6)}
    output, _ = module(x, None, [4, 2])
    expected = [module.layers[name](x[name], None, [4, 2])[0] for name in ("radar", "wind")]
    torch.testing.assert_close(output, torch.cat(expected, dim=2))
    with pytest.raises(ValueError, match=r"images differ in size: radar: \(4, 2, 2, 5, 6\), wind: \(4, 2, 3, 4, 6\)"):
        module({**x, "wind": numbers(4, 2, 2, 4, 6)})
    pooled = Merge(dict(module.layers.items()), readout="mean").double()  # type: ignore[arg-type]
    torch.testing.assert_close(pooled(x)[0], module(x)[0].mean(0))


@hows
@pytest.mark.parametrize("readout", [None, "last", "max", "attention"])
@few
@given(case=some_lengths())
def test_padding_is_nothing(how: str, readout: str | None, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = merge(how, readout), case

    def run(x: Tensor, lengths: list[int] | None) -> Tensor:
        output: Tensor = module({"weather": x[..., :3], "traffic": x[..., 3:]}, None, lengths)[0]
        return output

    assert_padding_is_nothing(module, run, time, lengths, 5, per_step=readout is None)


@hows
@pytest.mark.parametrize("readout", [None, "attention"])
def test_every_parameter_gets_a_gradient(how: str, readout: str | None) -> None:
    module = merge(how, readout)
    run = lambda x, n: module({"weather": x[..., :3], "traffic": x[..., 3:]}, None, n)[0]  # noqa: E731
    assert_every_parameter_gets_a_gradient(module, run, numbers(5, 3, 5))


linear: Any = torch.nn.Linear(1, 1)


def recurrent(**options: Any) -> Any:
    return Recurrent("gru", 1, 1, **options)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Merge({}), "there is nothing to merge"),
        (lambda: Merge(layers(units=6), how="sum"), "wants outputs of equal width, not weather: 4, traffic: 6"),
        (lambda: merge("add"), "unknown way to merge 'add'; allowed: concatenate, product, sum"),
        (lambda: merge(readout="first"), "unknown readout 'first'"),
        (lambda: Merge({"a.b": recurrent()}), "an input can't be called 'a.b'"),
        (lambda: Merge({"keys": recurrent()}), "an input can't be called 'keys'"),
        (lambda: Merge({"a": linear}), "must be a Recurrent or a ConvRecurrent, not Linear"),
        (lambda: Merge({"a": recurrent(batch_first=True)}), "is batch first; build it with"),
        (lambda: Merge({"a": recurrent(), "b": ConvRecurrent("gru", 1, 1, 3)}), "can't be merged with each"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, message: str) -> None:
    with pytest.raises(CellwiseError, match=message):
        build()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"weather": numbers(2, 1, 3)},), r"inputs are \['weather'\]; this merges \['traffic', 'weather'\]"),
        (({**inputs(), "traffic": numbers(4, 3, 2)},), r"inputs differ in time and batch: traffic: \(4, 3\)"),
        ((inputs(), {"wether": {}}), r"states has \['wether'\]; this merges"),
        ((inputs(), None, {"weather": [1, 1, 1]}), r"every input has the same lengths; give one \(batch,\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merge()(*arguments)
