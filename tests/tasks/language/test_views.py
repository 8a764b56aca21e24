"""The evidence of a language model, against numbers counted by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cellwise.records.schema import Curves, Table, load_view, save_view
from cellwise.tasks import build_task
from cellwise.tasks.language.corpus import Corpus
from cellwise.tasks.language.grammar import ROLES
from cellwise.tasks.language.sentences import Sentences
from cellwise.tasks.language.views import by_frequency, of_sentences
from cellwise.training.settings import read

SETTINGS = Sentences(test_tokens=4000, distance_max=12, distance_mean=4.0)
STORY = SETTINGS.generate("test")


def views_of(nll: np.ndarray[Any, Any]) -> tuple[Table, Curves]:
    table, curves = of_sentences(torch.tensor(nll), STORY, SETTINGS)
    assert isinstance(table, Table)
    assert isinstance(curves, Curves)
    return table, curves


def test_a_perfect_network_is_at_the_optimum_in_every_row_and_at_every_distance() -> None:
    table, curves = views_of(-STORY.log_probability_nats[1:])
    for _, _, perplexity, best, ratio in table.rows:
        assert perplexity == best
        assert ratio == 1.0
    measured, optimum, _ = curves.series
    np.testing.assert_array_equal(measured.y, optimum.y)


def test_the_table_has_a_row_for_each_kind_of_word_and_one_for_all() -> None:
    nll = np.random.default_rng(0).gamma(2.0, 1.0, len(STORY.tokens) - 1)
    table, _ = views_of(nll)
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == [name for number, name in enumerate(ROLES) if (STORY.role[1:] == number).any()] + ["all"]
    for name, (words, perplexity, best, ratio) in rows.items():
        kept = np.ones(len(nll), bool) if name == "all" else STORY.role[1:] == ROLES.index(str(name))
        assert words == kept.sum()
        assert perplexity == pytest.approx(math.exp(nll[kept].mean()))
        assert best == pytest.approx(math.exp(-STORY.log_probability_nats[1:][kept].mean()))
        assert ratio == pytest.approx(float(perplexity) / float(best))
    assert sum(int(row[0]) for name, row in rows.items() if name != "all") == rows["all"][0] == len(nll)


def test_the_curve_is_the_mean_probability_of_the_right_word_at_each_distance() -> None:
    """A made-up network: the probability of every effect is 1 / distance."""
    distance = STORY.distance_words[1:]
    nll = np.where(distance > 0, np.log(np.maximum(distance, 1)), 1.0)
    _, curves = views_of(nll)
    measured, optimum, guess = curves.series
    counts = {int(d): int((distance == d).sum()) for d in np.unique(distance[distance >= 0])}
    assert measured.x.tolist() == [d for d, count in counts.items() if count >= 5]
    assert len(measured.x) > 3
    np.testing.assert_allclose(measured.y, 1 / measured.x)
    assert set(guess.y) == {1 / SETTINGS.pairs}
    assert (optimum.role, guess.role) == ("optimum", "floor")
    # An effect is certain but for when its sentence comes, which is said by the words before it.
    assert (optimum.y > guess.y).all()


def test_a_run_that_has_diverged_has_views_all_the_same(tmp_path: Path) -> None:
    for view in views_of(np.full(len(STORY.tokens) - 1, 1e5)):
        load_view(save_view(view, tmp_path))
    table, _ = views_of(np.full(len(STORY.tokens) - 1, 1e5))
    assert table.rows[-1][2] == math.inf


def test_perplexity_by_frequency_is_in_decades_of_the_training_count() -> None:
    train = np.repeat([0, 1, 2, 3], [1, 9, 10, 100])
    test = np.array([3, 0, 1, 2, 3, 3])
    corpus = Corpus("c", "word", ("a", "b", "c", "d"), {"train": train, "valid": test, "test": test}, {}, {})
    nll = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)  # of 0, 1, 2, 3, 3
    view = by_frequency(nll, corpus)
    assert isinstance(view, Curves)
    [series] = view.series
    assert series.x.tolist() == [1.0, 10.0, 100.0]
    np.testing.assert_allclose(series.y, np.exp([1.5, 3.0, 4.5]))


def test_a_task_shows_what_belongs_to_its_text(tiny: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    from cellwise.cells.registry import build_cell

    (tmp_path / "text.txt").write_text("a b c d e f\n" * 100)
    own = {**tiny(), "data": {"name": "text", "path": str(tmp_path / "text.txt")}}
    names = []
    for config in (tiny(), own):
        task = build_task("language", read(config).task)
        network = task.network(build_cell("lstm"), "auto").eval()
        with torch.inference_mode():
            names.append([view.name for view in task.views(network)])
    assert names == [["perplexity_against_optimum", "effect_by_distance"], ["perplexity_by_frequency"]]
