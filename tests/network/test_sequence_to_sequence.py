"""Encoder and decoder against torch's own LSTM and GRU, row by row without padding."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import cellwise as cw
from cellwise.cells.registry import cell_names
from cellwise.errors import CellwiseError
from cellwise.network.sequence_to_sequence import SequenceToSequence
from cellwise.testing.layers import numbers
from tests.network.padding import assert_every_parameter_gets_a_gradient, assert_padding_is_nothing, some_lengths

few = settings(max_examples=10, deadline=None)
cells = pytest.mark.parametrize("cell", cell_names())
attentions = pytest.mark.parametrize("attention", [True, False])
IN, TARGET, HIDDEN = 3, 2, 4


def model(cell: str = "lstm", layers: int = 2, **options: Any) -> SequenceToSequence:
    torch.manual_seed(1)
    return SequenceToSequence(cell, IN, TARGET, HIDDEN, layers, **options).double()


def attended(module: SequenceToSequence, hidden: Tensor, encoded: Tensor) -> Tensor:
    """Luong et al. 2015, equations (5) to (7), for one decoder output (units,) and a row's (time, units)."""
    assert module.attention is not None
    energies = encoded @ (module.attention.query.weight @ hidden) / math.sqrt(encoded.shape[1])
    context = energies.softmax(0) @ encoded
    return torch.tanh(module.join.weight @ torch.cat([context, hidden]))


def answer_of_torch(module: SequenceToSequence, x: Tensor, targets: Tensor, start: Tensor) -> Tensor:
    """One row: torch.nn's kernels, one decoder step at a time; x (time, features)."""
    encoder, decoder = cw.to_torch(module.encoder), cw.to_torch(module.decoder)
    encoded, state = encoder(x[:, None])
    if module.encoder.directions == 2:  # a bridge starts as the mean of both directions

        def mean(s: Tensor) -> Tensor:
            return (s[0::2] + s[1::2]) / 2

        state = (mean(state[0]), mean(state[1])) if isinstance(state, tuple) else mean(state)
    answers, taken = [], start
    for target in targets:
        hidden, state = decoder(taken[None, None], state)
        units = hidden[0, 0]
        if module.attention is not None:
            units = attended(module, units, encoded[:, 0])
        answers.append(module.head.output.weight @ units + module.head.output.bias)
        taken = target
    return torch.stack(answers)


@attentions
@pytest.mark.parametrize("bridge", [None, "mix", "linear"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_teacher_forcing_is_torchs_layers_step_by_step(cell: str, bridge: Any, attention: bool) -> None:
    both = {"bidirectional": True, "bridge": bridge} if bridge else {}
    module = model(cell, attention=attention, **both)
    x, targets, start = numbers(5, 3, IN), numbers(4, 3, TARGET), numbers(3, TARGET, seed=5)
    lengths, target_lengths = [5, 2, 1], [3, 4, 1]
    answer = module(x, targets, start, lengths, target_lengths)
    assert answer.shape == (4, 3, TARGET)
    for row, (length, steps) in enumerate(zip(lengths, target_lengths, strict=True)):
        expected = answer_of_torch(module, x[:length, row], targets[:steps, row], start[row])
        torch.testing.assert_close(answer[:steps, row], expected)
        assert answer[steps:, row].eq(0).all()


@cells
@attentions
def test_running_freely_is_teacher_forcing_with_its_own_answers(cell: str, attention: bool) -> None:
    module, x = model(cell, attention=attention, bidirectional=attention), numbers(5, 3, IN)
    start, lengths = numbers(3, TARGET, seed=5), [5, 0, 2]
    free = module.generate(x, 4, start, lengths)
    assert free.isfinite().all()
    torch.testing.assert_close(module(x, free, start, lengths), free)
    torch.testing.assert_close(module.generate(x, 4, torch.zeros_like(start)), module.generate(x, 4))
    assert module.generate(x, 0).shape == (0, 3, TARGET)


def test_running_freely_feeds_what_next_input_makes_of_an_answer() -> None:
    def chosen(answer: Tensor) -> Tensor:
        return nn.functional.one_hot(answer.argmax(-1), TARGET).double()

    module, x = model(output_size=TARGET, next_input=chosen), numbers(5, 3, IN)
    free = module.generate(x, 6)
    torch.testing.assert_close(module(x, torch.stack([chosen(answer) for answer in free])), free)
    assert not torch.allclose(module(x, free), free)


@cells
@pytest.mark.parametrize("bridge", ["mix", "linear"])
def test_every_parameter_of_any_cell_gets_a_gradient(cell: str, bridge: str) -> None:
    module, targets = model(cell, bidirectional=True, attention=True, bridge=bridge), numbers(4, 3, TARGET)
    assert_every_parameter_gets_a_gradient(module, lambda x, n: module(x, targets, None, n), numbers(5, 3, IN))


@attentions
@few
@given(case=some_lengths())
def test_padding_of_the_source_is_nothing(attention: bool, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = model("gru", bidirectional=True, attention=attention), case
    targets = numbers(3, 1, TARGET)

    def run(x: Tensor, lengths: list[int] | None) -> Tensor:
        answer: Tensor = module(x, targets.expand(-1, x.shape[1], -1), None, lengths)
        return answer.transpose(0, 1)

    assert_padding_is_nothing(module, run, time, lengths, IN, per_step=False)


@attentions
@few
@given(case=some_lengths())
def test_padding_of_the_targets_is_nothing(attention: bool, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = model("gru", attention=attention), case

    def run(targets: Tensor, lengths: list[int] | None) -> Tensor:
        answer: Tensor = module(numbers(3, 1, IN).expand(-1, targets.shape[1], -1), targets, None, None, lengths)
        return answer

    assert_padding_is_nothing(module, run, time, lengths, TARGET, per_step=True)


def test_the_answer_to_a_step_has_not_seen_its_target() -> None:
    module, x, targets = model(attention=True), numbers(5, 3, IN), numbers(4, 3, TARGET)
    changed = targets.clone()
    changed[2:] += 1
    same = module(x, targets)[:3], module(x, changed)[:3]
    assert torch.equal(*same)
    assert not torch.allclose(module(x, targets)[3], module(x, changed)[3])


def test_a_mixed_state_stays_between_both_directions() -> None:
    module = model("slstm", bidirectional=True)
    assert module.bridge is not None
    for parameter in module.bridge.parameters():
        nn.init.normal_(parameter, 0, 3)
    _, both = module.encoder(numbers(5, 3, IN))
    mixed = module.bridge(both)
    assert set(mixed) == {"h", "c", "n", "m"}
    for name, value in mixed.items():
        forward, backward = both[name][0::2], both[name][1::2]
        assert (value >= torch.minimum(forward, backward) - 1e-12).all()
        assert (value <= torch.maximum(forward, backward) + 1e-12).all()


@cells
def test_the_same_seed_gives_every_cell_the_same_surroundings(cell: str) -> None:
    ours, others = model(cell, attention=True), model("lstm", attention=True)
    for name in ("attention.query.weight", "join.weight", "head.output.weight"):
        assert torch.equal(ours.get_parameter(name), others.get_parameter(name))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CellwiseError, match="output_size=5 can't be the decoder's next input of target_size=2"):
        model(output_size=5)
    with pytest.raises(CellwiseError, match="unknown bridge 'mixed'; did you mean 'mix'"):
        model(bidirectional=True, bridge="mixed")
    with pytest.raises(CellwiseError, match="forgetbias"):
        model(forgetbias=1.0)
    x = numbers(5, 3, IN)
    with pytest.raises(ValueError, match="targets have 2 rows, x has 3"):
        model()(x, numbers(4, 2, TARGET))
    with pytest.raises(ValueError, match=r"start is of shape \(2,\); the decoder takes \(batch, target\) = \(3, 2\)"):
        model()(x, numbers(4, 3, TARGET), numbers(2))
    with pytest.raises(ValueError, match=r"next_input gave of shape \(3,\)"):
        model(next_input=lambda answer: answer.argmax(-1)).generate(x, 2)
    with pytest.raises(ValueError, match="steps=-1 must be 0 or more"):
        model().generate(x, -1)


def test_it_learns_to_reverse_a_batch_by_heart() -> None:
    """Eight sequences of four symbols, written backward, first by teacher forcing, then freely."""
    torch.manual_seed(2)
    one_hot = torch.eye(4)
    module = SequenceToSequence("gru", 4, 4, 24, attention=True, next_input=lambda answer: one_hot[answer.argmax(-1)])
    symbols = torch.randint(4, (4, 8))
    x, targets = one_hot[symbols], one_hot[symbols.flip(0)]
    optimiser = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(80):
        optimiser.zero_grad()
        loss: Any = nn.functional.cross_entropy(module(x, targets).flatten(0, 1), symbols.flip(0).flatten())
        loss.backward()
        optimiser.step()
    assert torch.equal(module.generate(x, 4).argmax(-1), symbols.flip(0))
