"""The joint embedding of a question, read by any cell, and an image: answers by their logits.

    words -> embedding -> recurrent -> summary -> q
    image -> regions -> summary (guided by q) -> v
    q, v  -> join -> head -> logits

or, with `image_summary=joined`, q with each region by itself, and the greatest over regions, as Perez et al. 2018,
arXiv 1709.07871, pool what their FiLM blocks find.

Source: Antol et al., ICCV 2015, arXiv 1505.00468, section 4.2, "deeper LSTM Q + norm I". Theirs is two layers of
`cell=lstm`, `embedding_tanh=true`, `question_summary=states`, features of one region and `image_unit_length=true`,
`join=product`, dropout 0.5.

Differences: their questions are aligned at the end and read from padding on; here each is read from its own first word
to its own last.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.network.head import Head
from cellwise.network.readout import Readout
from cellwise.recurrent.layer import Recurrent
from cellwise.recurrent.options import free_states
from cellwise.tasks.vqa.image_encoder import ImageEncoder
from cellwise.tasks.vqa.joins import Join, joined_size
from cellwise.tasks.vqa.network_settings import JointSettings
from cellwise.tasks.vqa.questions import PADDING, ImageKind


class QuestionEncoder(nn.Module):
    """One vector of a question.

    Args:
        embedding: of its words.
        cell: the recurrent cell.
        settings: of the network.
        engine: of the recurrent layer.
    """

    def __init__(self, embedding: nn.Embedding, cell: Cell, settings: JointSettings, engine: str = "auto"):
        super().__init__()
        self.embedding = embedding
        self.tanh, self.dropout = settings.embedding_tanh, nn.Dropout(settings.dropout)
        self.states, self.readout = free_states(cell), None
        if settings.question_summary != "states":
            units = settings.hidden_size * settings.directions
            self.readout = Readout(settings.question_summary, units, bidirectional=settings.bidirectional)
        self.recurrent = Recurrent(
            cell,
            settings.embedding_size,
            settings.hidden_size,
            settings.num_layers,
            bidirectional=settings.bidirectional,
            engine=engine,
            **vars(settings.layer.with_dropout(settings.dropout, settings.num_layers)),
        )

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Return (batch, `question_size`) of words (steps, batch), of which each row's length counts."""
        x = self.embedding(words)
        outputs, state = self.recurrent(self.dropout(torch.tanh(x) if self.tanh else x), None, lengths)
        if self.readout is None:
            return self._all_states(state)
        vector: Tensor = self.readout(outputs, lengths)
        return vector

    def _all_states(self, state: State) -> Tensor:
        """States side by side, (batch, states * layers * directions * hidden)."""
        return torch.cat([state[name].transpose(0, 1).flatten(1) for name in self.states], dim=1)


def question_size(cell: Cell, settings: JointSettings) -> int:
    """Return the features of a question's vector."""
    units = settings.hidden_size * settings.directions
    # sLSTM's states but h have one scale together, so that each alone says nothing; they are not among these.
    return len(free_states(cell)) * settings.num_layers * units if settings.question_summary == "states" else units


class JointEmbedding(nn.Module):
    """Logits of answers.

    Args:
        cell: the recurrent cell; a network that sees the image alone has none of it.
        settings: checked.
        words: of the vocabulary.
        answers: of the vocabulary.
        image_kind: what an image is.
        image_shape: (channels, height, width), or (regions, features).
        engine: of the recurrent layer.

    Raises:
        CellwiseError: options of the layer that mean nothing to the cell.
    """

    def __init__(
        self,
        cell: Cell,
        settings: JointSettings,
        *,
        words: int,
        answers: int,
        image_kind: ImageKind,
        image_shape: Sequence[int],
        engine: str = "auto",
    ):
        super().__init__()
        features: dict[str, int] = {}
        if settings.sees != "image":
            features["question"] = question_size(cell, settings)
        # What does not depend on the cell or its size comes first: cells draw different amounts of random numbers, and
        # the same seed must give the same embedding, head and convolutions to each, or a comparison compares these too.
        embedding = nn.Embedding(words, settings.embedding_size, padding_idx=PADDING) if features else None
        sides = 2 if settings.sees == "both" else 1
        joined = joined_size(settings.join, settings.joint_size, sides)
        self.head = Head(joined, answers, hidden_size=settings.head_hidden_size, dropout=settings.dropout)
        self.image: ImageEncoder | None = None
        if settings.sees != "question":
            self.image = ImageEncoder(image_kind, image_shape, settings, features.get("question"))
            features["image"] = self.image.output_size
        self.join = Join(settings.join, features, settings.joint_size, settings.dropout)
        self.question = None if embedding is None else QuestionEncoder(embedding, cell, settings, engine)

    def forward(self, words: Tensor, lengths: Tensor, images: Tensor) -> Tensor:
        """Return (batch, answers).

        Args:
            words: int64 (steps, batch).
            lengths: int64 (batch,), at least 1.
            images: (batch, channels, height, width) or (batch, regions, features).
        """
        vectors = {}
        if self.question is not None:
            vectors["question"] = self.question(words, lengths)
        if self.image is not None:
            vectors["image"] = self.image(images, vectors.get("question"))
        joined = self.join(vectors)
        logits: Tensor = self.head(joined.amax(0) if joined.dim() == 3 else joined)  # the greatest over regions
        return logits

    def recurrent_layers(self) -> list[Recurrent]:
        """Return the one stack that reads questions, or nothing."""
        return [] if self.question is None else [self.question.recurrent]
