"""The language model is embedding, recurrent layers and output, with what the papers tie and draw."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cellwise.cells.registry import build_cell
from cellwise.recurrent.options import LayerOptions
from cellwise.tasks.language.network import LanguageModel
from cellwise.tasks.language.settings import NetworkSettings

TYPES = 11


def model(cell: str = "lstm", engine: str = "auto", **settings: object) -> LanguageModel:
    torch.manual_seed(5)
    return LanguageModel(build_cell(cell), TYPES, NetworkSettings(hidden_size=6, **settings), engine)  # type: ignore[arg-type]


def tokens(time: int = 5, batch: int = 3) -> torch.Tensor:
    return torch.randint(0, TYPES, (time, batch), generator=torch.Generator().manual_seed(1))


def test_logits_are_those_of_its_three_parts() -> None:
    network = model(num_layers=2)
    logits, state = network(tokens())
    hidden, expected = network.recurrent(nn.functional.embedding(tokens(), network.embedding.weight))
    torch.testing.assert_close(logits, hidden @ network.output.weight.T + network.output.bias)
    torch.testing.assert_close(state, expected)
    assert logits.shape == (5, 3, TYPES)


def test_a_row_does_not_see_the_others_nor_the_future() -> None:
    network = model()
    logits, _ = network(tokens())
    alone, _ = network(tokens()[:, 1:2])
    torch.testing.assert_close(logits[:, 1:2], alone)
    short, _ = network(tokens()[:3])
    torch.testing.assert_close(logits[:3], short)


def test_sizes_follow_the_settings() -> None:
    network = model(embedding_size=4, num_layers=3)
    assert network.embedding.weight.shape == (TYPES, 4)
    assert (network.recurrent.input_size, network.recurrent.hidden_size, network.recurrent.num_layers) == (4, 6, 3)
    assert network.output.weight.shape == (TYPES, 6)
    assert model().embedding.weight.shape == (TYPES, 6)


@pytest.mark.parametrize("tied", [True, False])
def test_tied_weights_are_one_parameter_that_both_ends_train(tied: bool) -> None:
    network = model(tied=tied)
    assert (network.output.weight is network.embedding.weight) == tied
    untied_count = sum(p.numel() for p in model().parameters())
    assert sum(p.numel() for p in network.parameters()) == untied_count - (TYPES * 6 if tied else 0)
    network(tokens())[0].sum().backward()
    assert network.embedding.weight.grad is not None
    unseen = [t for t in range(TYPES) if t not in tokens()]
    reached = network.embedding.weight.grad[unseen].abs().sum() > 0  # by the output alone
    assert bool(reached) == tied


@pytest.mark.parametrize("cell", ["lstm", "gru", "peephole_lstm", "coupled_lstm"])
def test_the_initial_range_holds_for_every_parameter_but_the_cells_own_offsets(cell: str) -> None:
    """Zaremba et al. 2014: uniform in [-0.1, 0.1]; the forget bias and the peepholes' start stay the cell's."""
    network = model(cell, init_range=0.1)
    free = []
    for name, parameter in network.named_parameters():
        values = parameter.detach().clone()
        if ".extra." in name:
            assert values.eq(0).all()
            continue
        if name.endswith(".bias") and "recurrent" in name:
            offsets = network.recurrent.cell.bias_offsets
            for place, gate in enumerate(network.recurrent.cell.gates):
                values[place * 6 : (place + 1) * 6] -= offsets.get(gate, 0.0)
        assert values.abs().max() <= 0.1 + 1e-6
        free.append(values.flatten())
    drawn = torch.cat(free)
    assert drawn.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)
    assert abs(drawn.mean().item()) < 0.01
    assert model(cell).embedding.weight.abs().max() > 0.5  # without: each module's own


def test_dropout_is_on_what_goes_in_between_and_out_but_not_on_the_recurrent_path() -> None:
    """Zaremba et al. 2014, section 3.1. With one layer: state without dropout on the input equals state with."""
    network = model(dropout=0.5).train()
    network.embedding.weight.data.zero_()  # then dropout of the input changes nothing ...
    torch.manual_seed(1)
    logits, state = network(tokens())
    torch.manual_seed(2)
    others, other = network(tokens())
    torch.testing.assert_close(state, other, rtol=0, atol=0)  # ... and the recurrent path has none
    assert not torch.equal(logits, others)  # but the output has
    first, second = network.eval()(tokens())[0], network(tokens())[0]
    assert torch.equal(first, second)


def test_dropout_between_layers_needs_two() -> None:
    assert model(dropout=0.5).recurrent.options.dropout == 0
    assert model(dropout=0.5, num_layers=2).recurrent.options.dropout == 0.5


def test_the_engine_is_the_one_asked_for() -> None:
    assert model(engine="reference").recurrent.engine == "reference"
    assert model().recurrent.engine == "native"
    assert model("peephole_lstm").recurrent.engine == "reference"


@pytest.mark.parametrize("init_range", [None, 0.1])
def test_the_same_seed_gives_every_cell_the_same_embedding_and_output(init_range: float | None) -> None:
    first, *others = (model(cell, init_range=init_range) for cell in ("rnn", "lstm", "gru"))
    for other in others:
        assert torch.equal(other.embedding.weight, first.embedding.weight)
        assert torch.equal(other.output.weight, first.output.weight)


def test_an_initial_range_leaves_a_layer_norm_as_it_starts() -> None:
    (norm,) = model(num_layers=2, init_range=0.1, layer=LayerOptions(layer_norm=True)).recurrent.norms
    assert isinstance(norm, nn.LayerNorm)
    assert torch.equal(norm.weight, torch.ones_like(norm.weight))
