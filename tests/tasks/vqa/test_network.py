"""The joint embedding: padding changes nothing, a row is its own, sizes are the budget's, each side can be hidden."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from cellwise.budget import Budget
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.network import JointEmbedding
from cellwise.tasks.vqa.network_settings import ImageSummary, QuestionSummary, read_network, recurrent_shapes
from cellwise.tasks.vqa.questions import Batch, ImageKind
from tests.tasks.vqa.made_up import ANSWERS, WORDS, MadeUp

ROWS = np.arange(7)
SMALL = {
    **{"embedding_size": 6, "hidden_size": 5, "joint_size": 8},
    **{"image_channels": [4, 6], "image_groups": 2},
}
SHAPES: dict[ImageKind, tuple[int, ...]] = {"pixels": (3, 9, 12), "regions": (4, 10)}


def network(cell: str = "lstm", kind: ImageKind = "pixels", **changes: Any) -> JointEmbedding:
    torch.manual_seed(0)
    return JointEmbedding(
        build_cell(cell),
        read_network({**SMALL, **changes}),
        words=len(WORDS),
        answers=len(ANSWERS),
        image_kind=kind,
        image_shape=SHAPES[kind],
        engine="reference",
    ).double()


def batch_of(kind: ImageKind = "pixels", rows: Any = ROWS) -> Batch:
    batch = MadeUp(image_kind=kind, image_shape=SHAPES[kind])[rows]
    return batch._replace(images=batch.images.double())


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("image", get_args(ImageSummary))
@pytest.mark.parametrize("question", get_args(QuestionSummary))
def test_padding_changes_nothing_and_a_row_alone_is_the_row_in_its_batch(
    question: QuestionSummary, image: ImageSummary, kind: ImageKind
) -> None:
    changes: dict[str, Any] = {
        "question_summary": question,
        "image_summary": image,
        "bidirectional": True,
        "num_layers": 2,
    }
    net, batch = network(kind=kind, **changes).eval(), batch_of(kind)
    found = net(batch.words, batch.lengths, batch.images)
    # What stands behind a question's end may be anything.
    further = torch.cat([batch.words, torch.full((3, len(ROWS)), 5)])
    further[torch.arange(len(further))[:, None] >= batch.lengths] = 5
    torch.testing.assert_close(net(further, batch.lengths, batch.images), found, rtol=1e-12, atol=1e-12)
    for row in (0, 3):
        alone = batch_of(kind, ROWS[[row]])
        torch.testing.assert_close(net(alone.words, alone.lengths, alone.images), found[[row]], rtol=1e-12, atol=1e-12)
    assert found.shape == (len(ROWS), len(ANSWERS))


@pytest.mark.parametrize(("cell", "states"), [("lstm", ["h", "c"]), ("gru", ["h"]), ("slstm", ["h"])])
def test_states_are_those_of_all_layers_at_the_last_word(cell: str, states: list[str]) -> None:
    """Antol et al. 2015: c and h of two layers of 512 are 2048 features."""
    net, batch = network(cell, question_summary="states", num_layers=2).eval(), batch_of()
    assert net.question is not None
    _, state = net.question.recurrent(net.question.embedding(batch.words), None, batch.lengths)
    expected = torch.cat([state[name][layer] for name in states for layer in (0, 1)], dim=1)
    torch.testing.assert_close(net.question(batch.words, batch.lengths), expected)


def test_words_go_through_tanh_where_the_settings_say_so() -> None:
    net, batch = network(embedding_tanh=True).eval(), batch_of()
    assert net.question is not None
    output, _ = net.question.recurrent(net.question.embedding(batch.words).tanh(), None, batch.lengths)
    expected = output[batch.lengths - 1, torch.arange(len(ROWS))]
    torch.testing.assert_close(net.question(batch.words, batch.lengths), expected)


@pytest.mark.parametrize(("sees", "blind_to"), [("question", "images"), ("image", "words")])
def test_a_side_that_is_hidden_changes_nothing_and_has_no_parameters(sees: str, blind_to: str) -> None:
    net, batch = network(sees=sees).eval(), batch_of()
    found = net(batch.words, batch.lengths, batch.images)
    other = {"images": torch.rand_like(batch.images), "words": batch.words.flip(1)}
    changed = batch._replace(**{blind_to: other[blind_to]})
    assert torch.equal(net(changed.words, changed.lengths, changed.images), found)
    kept = {"images": batch.images.flip(0), "words": batch.words.flip(1)}
    seen = batch._replace(**{name: value for name, value in kept.items() if name != blind_to})
    assert not torch.equal(net(seen.words, batch.lengths, seen.images), found)
    found.sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert bool(net.recurrent_layers()) is (sees == "question")


def test_attention_looks_where_the_question_asks() -> None:
    net, batch = network(kind="regions", image_summary="attention"), batch_of("regions")
    assert net.image is not None and net.image.attention is not None and net.question is not None
    q = net.question(batch.words, batch.lengths)
    context, weights = net.image.attention(batch.images.transpose(0, 1), q)
    torch.testing.assert_close(net.image(batch.images, q), context)
    torch.testing.assert_close(context, torch.einsum("rb,brf->bf", weights, batch.images))
    assert not torch.allclose(weights, net.image.attention(batch.images.transpose(0, 1), q.flip(0))[1])


def test_features_of_length_one_whatever_their_scale() -> None:
    """Norm I of Antol et al. 2015."""
    net, batch = network(kind="regions", image_unit_length=True, image_summary="mean"), batch_of("regions")
    assert net.image is not None
    expected = (batch.images / batch.images.square().sum(-1, keepdim=True).sqrt()).mean(1)
    torch.testing.assert_close(net.image(batch.images), expected)
    torch.testing.assert_close(net.image(100 * batch.images), expected)


def test_an_images_features_are_the_same_in_training_and_beside_any_other() -> None:
    net, batch = network(), batch_of()
    assert net.image is not None and net.image.grid is not None
    cells = net.image.grid(batch.images)
    assert cells.shape == (3 * 3, len(ROWS), 6)  # 9 x 12 pixels, halved twice
    net.eval()
    torch.testing.assert_close(net.image.grid(batch.images[:1]), cells[:, :1])


@pytest.mark.parametrize("changes", [{}, {"num_layers": 3, "bidirectional": True}, {"sees": "question"}])
@pytest.mark.parametrize("cell", ["rnn", "peephole_lstm"])
def test_the_shapes_that_a_budget_counts_are_those_of_the_layers(cell: str, changes: dict[str, Any]) -> None:
    settings = read_network({**SMALL, **changes})
    told = Budget("params", 1).cost(build_cell(cell), recurrent_shapes(settings), settings.hidden_size)
    assert told == count(*network(cell, **changes).recurrent_layers()) > 0


def test_every_cell_and_size_starts_with_the_same_embedding_head_and_convolutions() -> None:
    one, other = network("rnn").state_dict(), network("lstm", hidden_size=9).state_dict()
    alike = [key for key in one if key.startswith(("head", "question.embedding", "image.grid"))]
    assert len(alike) > 10
    assert all(torch.equal(one[key], other[key]) for key in alike)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"image_groups": 4},
            "network.image_groups=4 does not divide network.image_channels=[4, 6]; allowed: 1, 2, or null for no "
            "normalisation",
        ),
        ({"join": "mutan"}, "network.join=mutan is not allowed; allowed: product, concatenation, sum, gated, film"),
        ({"sees": "none"}, "network.sees=none is not allowed; allowed: both, question, image"),
        ({"dropout": 1.0}, "network.dropout=1.0 is too large; it must be less than 1"),
        (
            {"image_channels": []},
            "network.image_channels=[] must hold a number, for example network.image_channels=[3]",
        ),
    ],
)
def test_settings_that_are_not_allowed_are_told_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        read_network({**SMALL, **changes})
    assert str(caught.value) == said
