"""The sequence model is its parts, treats every cell alike, and learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import cellwise as cw
from cellwise.cells.registry import build_cell, cell_names
from cellwise.errors import CellwiseError
from cellwise.network.front import ImageFront
from cellwise.network.sequence_model import SequenceModel
from cellwise.network.settings import SequenceSettings
from cellwise.testing.layers import numbers
from tests.network.padding import assert_every_parameter_gets_a_gradient, assert_padding_is_nothing, some_lengths

few = settings(max_examples=10, deadline=None)
cells = pytest.mark.parametrize("cell", cell_names())
WHOLE: dict[str, Any] = {"num_layers": 2, "transformer_layers": 1, "front_channels": 6, "head_hidden_size": 16}


def model(cell: str = "gru", *, per_step: bool = False, seed: int = 1, **chosen: Any) -> SequenceModel:
    torch.manual_seed(seed)
    chosen = {"hidden_size": 8, **chosen}  # wide enough that no rectifier is shut for every step
    return SequenceModel(build_cell(cell), 3, 2, SequenceSettings(**chosen), per_step=per_step).double()


def answer(module: SequenceModel) -> Any:
    return lambda x, lengths: module(x, None, lengths)[0]


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_answer_for_a_row_is_the_head_of_torchs_own_final_state(bidirectional: bool) -> None:
    """torch.nn.GRU on packed sequences, then a matrix product."""
    module, x, lengths = model(bidirectional=bidirectional), numbers(5, 3, 3), [5, 2, 1]
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths))
    _, h = cw.to_torch(module.recurrent)(packed)
    units = torch.cat(list(h), dim=-1)
    output, state = module(x, None, lengths)
    torch.testing.assert_close(output, units @ module.head.output.weight.T + module.head.output.bias)
    torch.testing.assert_close(state["h"], h)


def test_the_answer_per_step_is_the_head_of_torchs_own_outputs() -> None:
    module, x = model(per_step=True), numbers(5, 3, 3)
    h, _ = cw.to_torch(module.recurrent)(x)
    torch.testing.assert_close(module(x)[0], h @ module.head.output.weight.T + module.head.output.bias)


def test_with_everything_it_is_its_parts_in_order() -> None:
    module, x, lengths = model(**WHOLE), numbers(5, 3, 3), [5, 0, 2]
    parts = dict(module.named_children())
    assert set(parts) == {"front", "transformer", "readout", "head", "recurrent"}
    hidden, state = parts["recurrent"](parts["front"](x, lengths), None, lengths)
    expected = parts["head"](parts["readout"](parts["transformer"](hidden, lengths), lengths))
    torch.testing.assert_close(module(x, None, lengths), (expected, state))


def test_a_front_of_the_tasks_own_comes_before_the_recurrent_layer() -> None:
    front = ImageFront(1, 3, channels=(2,))
    module = SequenceModel("lstm", 3, 2, SequenceSettings(hidden_size=4), front=front).double()
    x = numbers(4, 2, 1, 6, 5)
    torch.testing.assert_close(
        module(x, None, [4, 2])[0], module.head(module.recurrent(front(x), None, [4, 2])[1]["h"][0])
    )
    assert_every_parameter_gets_a_gradient(module, answer(module), x)


@cells
@pytest.mark.parametrize("per_step", [True, False])
def test_padding_is_nothing_to_any_cell_and_every_parameter_gets_a_gradient(cell: str, per_step: bool) -> None:
    module = model(cell, per_step=per_step, readout="attention", **WHOLE)
    assert_padding_is_nothing(module, answer(module), 5, [5, 0, 2], 3, per_step=per_step)
    assert_every_parameter_gets_a_gradient(module, answer(module), numbers(6, 3, 3))


@few
@given(
    some_lengths(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["last", "mean", "max", "attention"]),
    st.sampled_from([{}, WHOLE]),
)
def test_padding_is_nothing_in_any_composition(
    case: tuple[int, list[int]], per_step: bool, bidirectional: bool, readout: str, rest: dict[str, Any]
) -> None:
    module = model(per_step=per_step, bidirectional=bidirectional, readout=readout, **rest)
    assert_padding_is_nothing(module, answer(module), *case, 3, per_step=per_step)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_step_sees_nothing_later_unless_bidirectional(bidirectional: bool) -> None:
    module, x = model(per_step=True, bidirectional=bidirectional, **WHOLE), numbers(5, 2, 3)
    assert torch.allclose(module(x)[0][:3], module(x[:3])[0]) == (not bidirectional)


def test_state_is_carried_from_one_call_to_the_next() -> None:
    module, x = model("lstm", per_step=True, num_layers=2), numbers(6, 2, 3)
    first, state = module(x[:4])
    second, last = module(x[4:], state)
    torch.testing.assert_close((torch.cat([first, second]), last), module(x))


@cells
def test_the_same_seed_gives_every_cell_the_same_surroundings(cell: str) -> None:
    def surroundings(module: SequenceModel) -> dict[str, Tensor]:
        return {name: p for name, p in module.state_dict().items() if not name.startswith("recurrent.")}

    ours, others = (surroundings(model(name, readout="attention", **WHOLE)) for name in (cell, "lstm"))
    assert ours.keys() == others.keys()
    assert {name.split(".")[0] for name in ours} == {"front", "transformer", "readout", "head"}
    assert all(torch.equal(ours[name], others[name]) for name in ours)
    assert not torch.equal(model(seed=2).head.output.weight, model().head.output.weight)


def test_dropout_between_layers_needs_two() -> None:
    assert model(dropout=0.5).recurrent.options.dropout == 0
    assert model(dropout=0.5, num_layers=2).recurrent.options.dropout == 0.5


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CellwiseError, match=r"4 attention heads .* do not divide 6 units"):
        model(hidden_size=6, transformer_layers=1)
    with pytest.raises(CellwiseError, match="this task has its own; give front_channels=null"):
        SequenceModel("gru", 3, 2, SequenceSettings(front_channels=4), front=nn.Identity())
    with pytest.raises(CellwiseError, match="output_size=0 must be a whole number"):
        SequenceModel("gru", 3, 0, SequenceSettings())


def test_it_learns_one_batch_by_heart() -> None:
    """Eight random rows of unequal lengths, four classes: nothing to generalise, everything to remember."""
    torch.manual_seed(4)
    module = SequenceModel("gru", 3, 4, SequenceSettings(hidden_size=16, readout="attention"))
    x, lengths, classes = torch.randn(6, 8, 3), [6, 1, 4, 3, 6, 2, 5, 6], torch.arange(8) % 4
    optimiser = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(80):
        optimiser.zero_grad()
        loss: Any = nn.functional.cross_entropy(module(x, None, lengths)[0], classes)
        loss.backward()
        optimiser.step()
    assert loss < 0.05


def test_noise_on_the_input_is_added_in_training_alone_with_its_standard_deviation() -> None:
    quiet, noisy = model("gru"), model("gru", input_noise=0.5)
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    assert torch.equal(noisy.eval()(x)[0], quiet.eval()(x)[0])
    seen: list[Tensor] = []
    noisy.recurrent.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for _ in range(200):
        noisy.train()(x)
    noise = torch.stack(seen) - x
    assert float(noise.std()) == pytest.approx(0.5, rel=0.02)
    assert abs(float(noise.mean())) < 0.02
    assert float(noise.std(dim=0).min()) > 0.3  # another draw each time
