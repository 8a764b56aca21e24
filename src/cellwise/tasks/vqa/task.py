"""Visual question answering as a task: a question and an image, and the answer among those that train has.

Protocol of Antol et al. 2015, arXiv 1505.00468: a choice among the answers of a vocabulary, judged by the official
accuracy. The comparison is between cells as question encoders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
from torch import Tensor, nn

from cellwise.cells.contract import Cell
from cellwise.data.bucketed import BucketedLoader, by_length
from cellwise.data.loader import SequentialLoader
from cellwise.errors import CellwiseError
from cellwise.records.schema import View
from cellwise.recurrent.layer import Recurrent
from cellwise.tasks.contract import Learned, Probed, Split, Task
from cellwise.tasks.vqa import views
from cellwise.tasks.vqa.answers import Said, answers_of, said_of
from cellwise.tasks.vqa.data_settings import build_questions
from cellwise.tasks.vqa.encoded import EncodedQuestions, in_vocabulary
from cellwise.tasks.vqa.floors import credits_of_floors, floors_of
from cellwise.tasks.vqa.gates_by_word import gates_by_word
from cellwise.tasks.vqa.losses import lost
from cellwise.tasks.vqa.network import JointEmbedding
from cellwise.tasks.vqa.questions import Batch, Questions
from cellwise.tasks.vqa.results import results_json
from cellwise.tasks.vqa.scores import AnswerScores
from cellwise.tasks.vqa.settings import ACCURACY, VqaSettings

_PROBED_QUESTIONS = 16

_UNITS = {"cross_entropy": "cross_entropy_nats", "soft_target_bce": "bce_nats"}
"""What a loss is called in the record."""


def build(settings: VqaSettings) -> VqaTask:
    """Return the task with its questions at hand.

    Raises:
        CellwiseError: data that are missing, altered or of no use.
    """
    return VqaTask(settings, build_questions(settings.data, settings.data_dir))


class VqaTask(Task):
    """Visual question answering on one source of questions.

    Args:
        settings: checked.
        questions: of each split.
    """

    name = "vqa"
    examples = "questions"
    objective = ACCURACY

    def __init__(self, settings: VqaSettings, questions: Mapping[Split, Questions]):
        self.settings, self.questions = settings, questions
        called = settings.data.name
        self.checksums = {f"{called}/{split}": questions[split].sha256() for split in get_args(Split)}
        self.remarks = tuple(dict.fromkeys(line for split in get_args(Split) for line in questions[split].remarks))

    def network(self, cell: Cell, engine: str) -> JointEmbedding:
        """Return a new network, around a cell but where the image alone is seen."""
        train = self.questions["train"]
        return JointEmbedding(
            cell,
            self.settings.network,
            words=len(train.vocabulary.words),
            answers=len(train.vocabulary.answers),
            image_kind=train.image_kind,
            image_shape=train.image_shape,
            engine=engine,
        )

    def recurrent_layers(self, network: nn.Module) -> Sequence[Recurrent]:
        """Return the stack that reads questions; nothing where the image alone is seen."""
        assert isinstance(network, JointEmbedding)
        return network.recurrent_layers()

    def loader(self, split: Split) -> SequentialLoader[Batch]:
        """Return the batches of a split: train in a new order each epoch, of like length each."""
        task, questions = self.settings.task, self.questions[split]
        if split == "train":
            return BucketedLoader(questions, task.batch_size, self.settings.seed)
        return by_length(questions, task.eval_batch_size)

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the logits of all answers, (batch, answers)."""
        logits: Tensor = network(batch.words, batch.lengths, batch.images)
        return logits

    def learn(self, network: nn.Module, batch: Batch, state: None) -> Learned:
        """Return the loss of one batch: the mean over its questions, of those that the loss has a use for."""
        name = self.settings.task.loss
        found = lost(name, self.answer(network, batch), batch)
        logged = (found.of_question.detach().double().sum(), found.questions)
        return Learned(found.mean(), {_UNITS[name]: logged}, len(batch.lengths), None, found.questions)

    def probed(self) -> Probed:
        """Return the longest questions of validation, the longest first: where a cell must remember most."""
        valid = self.questions["valid"]
        rows = np.argsort(-valid.lengths(), kind="stable")[:_PROBED_QUESTIONS]
        return Probed(valid[rows], valid.question(int(rows[0])).tokens, valid.redistributable)

    def last_loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of each question, (batch,): its answer is the last prediction."""
        return lost(self.settings.task.loss, self.answer(network, batch), batch).of_question

    def scores(self) -> AnswerScores:
        """Return empty scores for one pass over a split."""
        return AnswerScores(self.answer)

    def floors(self) -> dict[str, float]:
        """Return the accuracy of the most frequent answer, of all and of each type of question."""
        return floors_of(self.questions["train"], self.questions["test"])

    def optimum(self) -> float | None:
        """Return the accuracy of the best answers that the vocabulary has."""
        bound = self.questions["test"].upper_bound()
        return None if bound is None else 100 * bound

    def on_other_data(self, settings: VqaSettings, split: Split) -> VqaTask:
        """Return this task with a split of other questions as its test split, in the run's vocabulary.

        Raises:
            CellwiseError: questions that are missing, or with images that the network can't take.
        """
        own, other = self.questions["train"], build_questions(settings.data, settings.data_dir)[split]
        if (other.image_kind, tuple(other.image_shape)) != (own.image_kind, tuple(own.image_shape)):
            raise CellwiseError(
                f"images are {other.image_kind} of shape {list(other.image_shape)}, but the run's network is made for "
                f"{own.image_kind} of {list(own.image_shape)}"
            )
        assert isinstance(other, EncodedQuestions)
        other = in_vocabulary(other, own.vocabulary, split)
        task = VqaTask(dataclasses.replace(self.settings, data=settings.data), {**self.questions, "test": other})
        task.checksums = {f"{settings.data.name}/{split}": other.sha256()}
        task.remarks = (f"{len(other):,} questions of {split}", *other.remarks)
        return task

    def views(self, network: nn.Module) -> list[View]:
        """Return accuracy by type and length, what is taken for what, examples, and which words move the gates."""
        floors = credits_of_floors(self.questions["train"], self.questions["test"])
        moved = gates_by_word(network, self.recurrent_layers(network), self.answer, self.questions["test"])
        return [*views.of_test(self._said(network), self.questions["test"], floors), *moved]

    def results(self, network: nn.Module) -> bytes:
        """Return the answers to the test questions in VQA's official form."""
        return results_json(answers_of(self._said(network), self.questions["test"]))

    def _said(self, network: nn.Module) -> Said:
        return said_of(network, self.answer, self.settings.task.loss, self.loader("test"))
