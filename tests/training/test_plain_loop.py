"""The losses of 200 training steps are those of a loop written from torch.nn alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cellwise.cells.registry import build_cell
from cellwise.interop.torch import to_torch
from cellwise.tasks import build_task
from cellwise.tasks.language.network import LanguageModel
from cellwise.training.seeds import reseed
from cellwise.training.settings import read
from cellwise.training.train import train

STEPS, BATCH, WINDOW, CLIP = 200, 4, 10, 0.25


class PlainModel(nn.Module):
    """Embedding, torch's own recurrent layer, linear output, started at the weights of one of ours."""

    def __init__(self, ours: LanguageModel):
        super().__init__()
        self.embedding = nn.Embedding(ours.embedding.num_embeddings, ours.embedding.embedding_dim)
        self.embedding.load_state_dict(ours.embedding.state_dict())
        self.recurrent = to_torch(ours.recurrent)
        self.output = nn.Linear(ours.output.in_features, ours.output.out_features)
        self.output.load_state_dict(ours.output.state_dict())
        for name, parameter in self.recurrent.named_parameters():
            if name.startswith("bias_hh"):  # torch adds two biases; ours is one, apart from the GRU's candidate
                once = torch.zeros_like(parameter)
                if isinstance(self.recurrent, nn.GRU):
                    once[-self.recurrent.hidden_size :] = 1
                parameter.register_hook(lambda gradient, once=once: gradient * once)  # type: ignore[no-untyped-call]

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        hidden, state = self.recurrent(self.embedding(tokens), state)
        return self.output(hidden), state


def windows(tokens: np.ndarray[Any, Any]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Inputs, targets and which of them exist, each (window, batch), from columns cut by hand."""
    length = math.ceil((len(tokens) - 1) / BATCH)
    for start in range(0, length, WINDOW):
        steps = range(start, min(start + WINDOW, length))
        place = np.array([[column * length + step for column in range(BATCH)] for step in steps])
        exists = place < len(tokens) - 1
        place = np.where(exists, place, 0)
        yield torch.tensor(tokens[place]), torch.tensor(tokens[place + 1]), torch.tensor(exists)


def plain_losses(model: PlainModel, tokens: np.ndarray[Any, Any], optim: str) -> list[float]:
    """Train for STEPS steps as Zaremba et al. describe and return the mean nats of each."""
    losses: list[float] = []
    optimizer = torch.optim.Adam(model.parameters()) if optim == "adam" else torch.optim.SGD(model.parameters(), lr=1.0)
    epoch = 0
    while True:
        for group in optimizer.param_groups:
            group["lr"] = 0.01 if optim == "adam" else (1.0, 0.5, 0.25)[epoch]
        state = None
        for inputs, targets, exists in windows(tokens):
            logits, state = model(inputs, state)
            state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
            nats = -torch.log_softmax(logits, -1).gather(-1, targets[..., None])[..., 0][exists]
            optimizer.zero_grad()
            loss = nats.mean() if optim == "adam" else nats.sum() / BATCH
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            losses.append(nats.mean().item())
            if len(losses) == STEPS:
                return losses
        epoch += 1


@pytest.mark.parametrize(("cell", "optim"), [("lstm", "sgd"), ("gru", "adam")])
def test_200_steps_have_the_losses_of_a_plain_loop(
    tiny: Callable[..., dict[str, Any]], rows_of: Callable[[Path], list[dict[str, Any]]], cell: str, optim: str
) -> None:
    config = tiny(
        *(f"cell={cell}", f"optim={optim}", f"optim.clip_norm={CLIP}", "network.num_layers=2"),
        *("optim.learning_rate=0.01",) * (optim == "adam"),
        *("task.loss=step_sum", "optim.decay_after_epochs=1") * (optim == "sgd"),
        *(f"trainer.max_steps={STEPS}", "trainer.max_epochs=null", "seed=3"),
    )
    settings = read(config)
    task = build_task("language", settings.task)
    reseed(3, "initialisation")
    ours = task.network(build_cell(cell), "auto")
    assert isinstance(ours, LanguageModel)
    tokens = settings.task.data.generate("train").tokens
    assert (len(tokens) - 1) % BATCH  # so that the last window has targets that do not exist
    assert 2 * len(tokens) / BATCH / WINDOW < STEPS  # and the text is begun anew twice
    expected = plain_losses(PlainModel(ours), tokens, optim)

    found = [row["train_nll_nats"] for row in rows_of(train(config).folder) if "train_nll_nats" in row]

    assert found == pytest.approx(expected, abs=1e-5)
    assert expected[-1] < expected[0] - 0.5  # it learned: the comparison is not one of initial weights
