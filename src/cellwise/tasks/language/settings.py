"""The settings of language modelling, checked without importing torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cellwise.budget import Shape, shape_of
from cellwise.errors import CellwiseError, unknown
from cellwise.recurrent.options import LayerOptions
from cellwise.settings import bounded, parse
from cellwise.tasks.language.sentences import Sentences
from cellwise.tasks.language.sources import read_own
from cellwise.tasks.objective import Objective

TEXTS = ("ptb", "wikitext2", "timemachine", "text")
PERPLEXITY = Objective("perplexity", "min", "")
BITS = Objective("bits_per_character", "min", "bits")


@dataclass(frozen=True)
class Modelling:
    """The task's own keys; see conf/task/language.yaml."""

    name: str = "language"
    level: Literal["word", "character"] = "word"
    batch_size: int = bounded(20, minimum=1)
    steps: int = bounded(35, minimum=1)
    eval_batch_size: int = bounded(20, minimum=1)
    eval_steps: int = bounded(100, minimum=1)
    loss: Literal["token_mean", "step_sum"] = "token_mean"

    @property
    def objective(self) -> Objective:
        """Perplexity for words, bits per character for characters."""
        return PERPLEXITY if self.level == "word" else BITS


@dataclass(frozen=True)
class NetworkSettings:
    """The network's keys; see conf/network/language_model.yaml."""

    hidden_size: int = bounded(128, minimum=1)
    num_layers: int = bounded(1, minimum=1)
    dropout: float = bounded(0.0, minimum=0, below=1)
    embedding_size: int | None = bounded(None, minimum=1)
    tied: bool = False
    init_range: float | None = bounded(None, minimum=0)
    layer: LayerOptions = field(default_factory=LayerOptions)


@dataclass(frozen=True)
class TextSettings:
    """A text on disk: one of the official sets, or (`text`) a path and the checksum of what it held when planned."""

    name: str
    path: str | None = None
    sha256: str | None = None
    vocabulary_size: int | None = bounded(None, minimum=2)


@dataclass(frozen=True)
class LanguageSettings:
    """Everything about a language modelling run but cell, optimiser and trainer."""

    task: Modelling
    data: Sentences | TextSettings
    network: NetworkSettings
    data_dir: str | None


def read(config: Mapping[str, Any]) -> LanguageSettings:
    """Return the checked settings of a resolved configuration.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    task = parse(Modelling, config["task"], "task")
    network = parse(NetworkSettings, config["network"], "network")
    if network.tied and network.embedding_size not in (None, network.hidden_size):
        raise CellwiseError(
            f"network.tied=true needs network.embedding_size={network.hidden_size} (the hidden size), "
            f"not {network.embedding_size}; null is always the hidden size"
        )
    return LanguageSettings(task, _data(config["data"], task.level), network, config.get("data_dir"))


def objective(config: Mapping[str, Any]) -> Objective:
    """Return what the task is judged by; see `cellwise.tasks`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    return parse(Modelling, config["task"], "task").objective


def recurrent_shapes(config: Mapping[str, Any], hidden_size: int) -> list[Shape]:
    """Return the cost-deciding sizes of the language model's recurrent layers; see `cellwise.tasks`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    network = parse(NetworkSettings, {**config["network"], "hidden_size": hidden_size}, "network")
    return [shape_of(network.layer, network.embedding_size or hidden_size, network.num_layers)]


def pin(data: Mapping[str, Any], data_dir: str | None = None) -> dict[str, Any]:
    """Return the data's configuration, a text of the user's own with its checksum and its whole path.

    Raises:
        CellwiseError: a text that is missing, empty or not UTF-8.
    """
    if data.get("name") != "text" or not data.get("path") or data.get("sha256"):
        return dict(data)
    path = Path(str(data["path"])).expanduser()
    # Absolute: a run that is repeated from another folder finds its text. Where it lies is no part of what the run is.
    return {**data, "path": os.path.abspath(path), "sha256": read_own(str(path)).sha256}


def _data(data: Mapping[str, Any], level: str) -> Sentences | TextSettings:
    name = data.get("name")
    if name == "sentences":
        if level != "word":
            raise CellwiseError("data=sentences is made of words; type task.level=word, or choose data=timemachine")
        return parse(Sentences, {k: v for k, v in data.items() if k != "name"}, "data")
    if name not in TEXTS:
        raise unknown("data", str(name), ["sentences", *TEXTS])
    text = parse(TextSettings, data, "data")
    if name == "text" and text.path is None:
        raise CellwiseError(
            "data.path is not set; give data.path=my_text.txt, or a folder of train.txt, valid.txt, test.txt"
        )
    return text
