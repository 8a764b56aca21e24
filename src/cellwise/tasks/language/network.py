"""Embedding, recurrent layers of any cell, linear output over the vocabulary.

Source: Zaremba, Sutskever and Vinyals 2014, arXiv 1409.2329: dropout on the embedding, between layers and before the
output, never on the recurrent path. Tied weights: Press and Wolf 2017, arXiv 1608.05859.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.recurrent.layer import Recurrent
from cellwise.tasks.language.settings import NetworkSettings


class LanguageModel(nn.Module):
    """Logits of the next token.

    Args:
        cell: the recurrent cell.
        vocabulary_size: tokens.
        settings: sizes, dropout, tying and initial range.
        engine: of the recurrent layer.
    """

    def __init__(self, cell: Cell, vocabulary_size: int, settings: NetworkSettings, engine: str = "auto"):
        super().__init__()
        embedding_size = settings.embedding_size or settings.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.dropout = nn.Dropout(settings.dropout)
        # Before the recurrent layer: cells draw different amounts of random numbers, and the same seed must give the
        # same embedding and output to each of them, or a comparison compares these too.
        self.output = nn.Linear(settings.hidden_size, vocabulary_size)
        if settings.tied:
            self.output.weight = self.embedding.weight
        bound = settings.init_range
        if bound is not None:
            _draw(self, bound)
        self.recurrent = Recurrent(
            cell,
            embedding_size,
            settings.hidden_size,
            settings.num_layers,
            engine=engine,
            **vars(settings.layer.with_dropout(settings.dropout, settings.num_layers)),
        )
        if bound is not None:
            _draw(self.recurrent.layers, bound)  # but no layer norm's gains
            for weights in self.recurrent.weights():
                weights.settle()  # what a cell says of its own start stays on top

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return logits (time, batch, vocabulary) and the state, for tokens (time, batch) int64."""
        hidden, state = self.recurrent(self.dropout(self.embedding(tokens)), state)
        return self.output(self.dropout(hidden)), state


@torch.no_grad()
def _draw(module: nn.Module, bound: float) -> None:
    """Draw every weight and bias from U(-bound, bound)."""
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -bound, bound)
