"""Random streams do not disturb each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cellwise.training.seeds import derive, reseed
from cellwise.training.train import train


def test_a_stream_is_a_function_of_seed_name_and_step() -> None:
    streams = {derive(seed, name, step) for seed in range(5) for name in ("a", "b") for step in range(5)}
    assert len(streams) == 50
    assert all(0 <= value < 2**63 for value in streams)
    assert derive(1, "step", 7) == 5100984371357809704  # the same on every machine and in every version


def test_the_draws_of_a_step_do_not_depend_on_what_was_drawn_before() -> None:
    reseed(3, "step", 11)
    expected = torch.rand(4)
    torch.rand(1000)
    reseed(3, "step", 11)
    assert torch.equal(torch.rand(4), expected)
    reseed(3, "step", 12)
    assert not torch.equal(torch.rand(4), expected)


def test_dropout_of_a_step_is_the_same_for_every_cell(
    tiny: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of different size draw different initial weights; the masks of a step must not follow from that."""
    masks: dict[str, list[torch.Tensor]] = {"rnn": [], "lstm": []}
    plain = torch.nn.functional.dropout

    def watched(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
        out = plain(x, p, training, inplace)
        if training:
            masks[cell].append(out != 0)
        return out

    monkeypatch.setattr(torch.nn.functional, "dropout", watched)
    for cell in masks:
        train(tiny(f"cell={cell}", "network.dropout=0.5"))
    assert len(masks["rnn"]) == len(masks["lstm"]) == 4  # embedding and output, in each of two steps
    for ours, theirs in zip(masks["rnn"], masks["lstm"], strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(masks["rnn"][0], masks["rnn"][2])  # and each step has its own
