"""`cellwise predict RUN --image FILE --question "..."`: what a trained run answers, with how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.answers import MOST_ANSWERS, best_of
from cellwise.tasks.vqa.image_files import DAMAGED, pixels_of
from cellwise.tasks.vqa.images import PixelImages
from cellwise.tasks.vqa.network import JointEmbedding
from cellwise.tasks.vqa.questions import OUTSIDE, UNKNOWN, UNSCORED, Batch, Questions, Vocabulary
from cellwise.tasks.vqa.table import words_of
from cellwise.tasks.vqa.task import VqaTask
from cellwise.training.trained import load_trained

OPTIONS = ("--image", "--question")
"""What `cellwise predict` must be given for a run of this task, in the order of `predict`'s arguments."""

# What Pillow raises of a file that is damaged or no picture at all; a decompression bomb is a Warning.


def predict(run: Path, config: Mapping[str, Any], image: Path, question: str) -> list[str]:
    """Return the most probable answers, and what to know of them, as lines for the user.

    Args:
        run: a finished run's folder; its data must be there, for words and answers are theirs.
        config: its own.
        image: file of a picture, of any size.
        question: in words.

    Raises:
        CellwiseError: a question without a word, a picture that is missing or damaged, a run on features that another
            network computed, or one that is not finished.
    """
    words = words_of(question)
    if not words:
        raise CellwiseError(f'--question {question!r} has no word; ask something, for example "what colour is it?"')
    content = _content(image)
    task, network = load_trained(run)
    assert isinstance(task, VqaTask)
    assert isinstance(network, JointEmbedding)
    train = task.questions["train"]
    if train.image_kind != "pixels":
        raise CellwiseError(
            f"{run} was trained on features that another network computed, and needs such features of {image}; give a "
            "run that was trained on pictures (data.images=...)"
        )
    batch = _batch(words, _pixels(image, content, train.image_shape), train.vocabulary)
    with torch.inference_mode():
        best, probability = best_of(task.answer(network, batch), task.settings.task.loss)
    answers = [train.vocabulary.answers[number] for number in best[0].tolist()]
    width = max(map(len, answers))
    lines = [
        f"{answer:{width}}  {100 * share:5.1f} %"
        for answer, share in zip(answers, probability[0].tolist(), strict=True)
    ]
    return [*lines, *_remarks(words, network, train)]


def _content(image: Path) -> bytes:
    try:
        return image.read_bytes()
    except OSError as error:
        raise CellwiseError(f"can't read {image}: {error.strerror}; give a picture's file with --image") from error


def _pixels(image: Path, content: bytes, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The picture as the run has seen those of its data, uint8 (height, width, 3)."""
    _, height, width = shape
    try:
        return pixels_of(content, (height, width))
    except DAMAGED as error:
        said = " ".join(str(error).split())
        raise CellwiseError(
            f"{image} is damaged or no picture: {said}; give a PNG or JPEG file with --image"
        ) from error


def _batch(words: tuple[str, ...], pixels: npt.NDArray[np.uint8], vocabulary: Vocabulary) -> Batch:
    """One question, whose answer nobody knows."""
    number = {word: k for k, word in enumerate(vocabulary.words)}
    return Batch(
        words=torch.tensor([[number.get(word, UNKNOWN)] for word in words]),
        lengths=torch.tensor([len(words)]),
        images=PixelImages(pixels[None], {}).batch(np.zeros(1, dtype=np.int64)),
        mode=torch.tensor([OUTSIDE]),
        credit=torch.zeros(1, len(vocabulary.answers)),
        rows=torch.zeros(1, dtype=torch.int64),
        answer_type=torch.tensor([UNSCORED]),
    )


def _remarks(words: tuple[str, ...], network: JointEmbedding, train: Questions) -> list[str]:
    """What the network did not see, and among how many answers it chose."""
    known = set(train.vocabulary.words)
    unknown = [word for word in dict.fromkeys(words) if word not in known]
    said = [f"{len(train.vocabulary.answers):,} answers are possible, those of the data that it was trained on"]
    if len(train.vocabulary.answers) <= MOST_ANSWERS:
        said = []
    if unknown and network.question is not None:
        named = ", ".join(map(repr, unknown))
        said.append(f"unknown to the run, and so all read as the same word: {named}")
    if network.question is None or network.image is None:
        unseen, seen = ("question", "picture") if network.question is None else ("picture", "question")
        said.append(f"the run does not look at the {unseen}: its answers follow from the {seen} alone")
    return said
