"""Columns and windows: contiguous, complete, each prediction scored once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellwise.errors import CellwiseError
from cellwise.tasks.language.columns import IGNORED, Windows, columns

lengths = st.integers(2, 200)
sizes = st.integers(1, 30)


def by_definition(tokens: list[int], batch_size: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return (length, batch) inputs and targets, filled cell by cell; None where there is no prediction."""
    n = len(tokens) - 1
    length = next(candidate for candidate in range(1, n + 1) if candidate * batch_size >= n)
    inputs = [[0] * batch_size for _ in range(length)]
    targets = [[IGNORED] * batch_size for _ in range(length)]
    for prediction in range(n):
        column, step = divmod(prediction, length)
        inputs[step][column], targets[step][column] = tokens[prediction], tokens[prediction + 1]
    return inputs, targets


def test_columns_of_a_small_text_by_eye() -> None:
    inputs, targets = columns(np.arange(10, 18), 3)  # 8 tokens, 7 predictions, columns of 3
    assert inputs.tolist() == [[10, 13, 16], [11, 14, 0], [12, 15, 0]]
    assert targets.tolist() == [[11, 14, 17], [12, 15, IGNORED], [13, 16, IGNORED]]
    assert inputs.dtype == targets.dtype == torch.int64


@given(lengths, sizes)
def test_columns_are_those_of_the_definition(length: int, batch_size: int) -> None:
    tokens = [7 * k % 11 for k in range(length)]
    inputs, targets = columns(np.array(tokens), batch_size)
    assert (inputs.tolist(), targets.tolist()) == by_definition(tokens, batch_size)
    same = columns(torch.tensor(tokens), batch_size)
    assert torch.equal(same[0], inputs)
    assert torch.equal(same[1], targets)


@given(lengths, sizes, sizes)
def test_every_prediction_is_scored_exactly_once(length: int, batch_size: int, steps: int) -> None:
    windows = Windows(np.arange(length), batch_size=batch_size, steps=steps)
    scored = []
    for inputs, targets in map(windows.__getitem__, range(len(windows))):
        kept = targets != IGNORED
        assert torch.equal(targets[kept], inputs[kept] + 1)
        scored += targets[kept].tolist()
    assert sorted(scored) == list(range(1, length))
    assert len(scored) == windows.predictions == length - 1


@given(lengths, sizes, sizes)
def test_windows_follow_each_other_without_gap_in_every_column(length: int, batch_size: int, steps: int) -> None:
    tokens = np.arange(length)
    windows = Windows(tokens, batch_size=batch_size, steps=steps)
    items = [windows[k] for k in range(len(windows))]
    inputs, targets = columns(tokens, batch_size)
    assert torch.equal(torch.cat([item[0] for item in items]), inputs)
    assert torch.equal(torch.cat([item[1] for item in items]), targets)
    assert all(len(item[0]) == steps for item in items[:-1])
    assert 1 <= len(items[-1][0]) <= steps


def test_there_is_no_window_past_the_last() -> None:
    windows = Windows(np.arange(11), batch_size=1, steps=4)
    assert len(windows) == 3
    with pytest.raises(IndexError):
        windows[3]
    with pytest.raises(IndexError):
        windows[-1]


@pytest.mark.parametrize(
    ("tokens", "batch_size", "steps", "told"),
    [
        (0, 4, 5, "the text has 0 tokens; at least 2 are needed"),
        (1, 4, 5, "the text has 1 tokens; at least 2 are needed"),
        (9, 0, 5, "task.batch_size=0 is not allowed"),
        (9, -2, 5, "task.batch_size=-2 is not allowed"),
        (9, 4, 0, "task.steps=0 is not allowed"),
        (9, 4, -1, "task.steps=-1 is not allowed"),
    ],
)
def test_empty_text_and_sizes_below_one_are_refused(tokens: int, batch_size: int, steps: int, told: str) -> None:
    with pytest.raises(CellwiseError) as error:
        Windows(np.arange(tokens), batch_size=batch_size, steps=steps)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("tokens", "typed"),
    [
        (141, "type task.batch_size=4,"),
        (36, "type task.batch_size=1,"),
        (20, "type task.batch_size=1 task.steps=19,"),
    ],
)
def test_text_too_short_to_train_on_says_what_would_fit(tokens: int, typed: str) -> None:
    text = np.arange(tokens)
    with pytest.raises(CellwiseError) as error:
        Windows(text, batch_size=20, steps=35, whole_window=True)
    message = str(error.value)
    for part in (f"{tokens} tokens", "task.steps=35", "task.batch_size=20", typed):
        assert part in message
    remedy = dict(word.split("=") for word in typed.removeprefix("type ").rstrip(",").split())
    fitting = Windows(
        text,
        batch_size=int(remedy["task.batch_size"]),
        steps=int(remedy.get("task.steps", 35)),
        whole_window=True,
    )
    assert len(fitting) >= 1
    assert len(Windows(text, batch_size=20, steps=35)) == 1  # short text may be evaluated


@pytest.mark.parametrize("of", [1, 2, 3])
def test_the_shares_of_a_window_are_its_columns_and_always_the_same_ones(of: int) -> None:
    whole = Windows(torch.arange(100), batch_size=6, steps=5)
    shares = [whole.share(rank, of) for rank in range(of)]
    for k in range(len(whole)):
        inputs, targets = whole[k]
        assert torch.equal(torch.cat([share[k][0] for share in shares], dim=1), inputs)
        assert torch.equal(torch.cat([share[k][1] for share in shares], dim=1), targets)
        assert {share[k][0].shape[1] for share in shares} == {6 // of}
    assert sum(share.predictions for share in shares) == whole.predictions == 99


def test_columns_that_can_not_be_shared_evenly_are_refused() -> None:
    with pytest.raises(CellwiseError, match=r"task.batch_size=6 can't be shared evenly by trainer.devices=4"):
        Windows(torch.arange(100), batch_size=6, steps=5).share(0, 4)
