"""Language modelling as a task: predict the next token of a text from all before it.

Truncated backpropagation over contiguous columns with carried state (Zaremba et al. 2014, arXiv 1409.2329). The
objective is perplexity for words and bits per character for characters, over every token of the split but its
first.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.data.loader import SequentialLoader
from cellwise.errors import CellwiseError
from cellwise.records.schema import View
from cellwise.recurrent.layer import Recurrent
from cellwise.tasks.contract import Learned, Probed, Scores, Split, Task
from cellwise.tasks.language import views
from cellwise.tasks.language.columns import IGNORED, Windows
from cellwise.tasks.language.corpus import UNKNOWN, Corpus, build_corpus, cut_and_split, read_text, with_other_test
from cellwise.tasks.language.floors import bigram_nll_nats, unigram_nll_nats
from cellwise.tasks.language.metrics import BitsPerCharacter, Perplexity
from cellwise.tasks.language.network import LanguageModel
from cellwise.tasks.language.sentences import Sentences
from cellwise.tasks.language.settings import PERPLEXITY, LanguageSettings, TextSettings
from cellwise.tasks.language.sources import OFFICIAL, OfficialText, RawText
from cellwise.tasks.language.stories import Text

Batch = tuple[Tensor, Tensor]

_PROBED_COLUMNS, _PROBED_STEPS = 16, 64  # longer than most training windows: what is remembered may reach further


def build(settings: LanguageSettings) -> LanguageTask:
    """Return the task with its text loaded.

    Raises:
        CellwiseError: a text that is missing, altered, empty or too short for one window.
    """
    if isinstance(settings.data, Sentences):
        return LanguageTask(settings, *_generated(settings.data))
    return LanguageTask(settings, _loaded(settings.data, settings), None)


class LanguageTask(Task):
    """Language modelling on one corpus.

    Args:
        settings: checked.
        corpus: tokens by split.
        story: the generated test text with its true probabilities, when the corpus is embedded.
    """

    name = "language"
    examples = "tokens"

    def __init__(self, settings: LanguageSettings, corpus: Corpus, story: Text | None):
        self.settings, self.corpus, self.story = settings, corpus, story
        self.objective = settings.task.objective
        self.checksums = dict(corpus.checksums)
        task = settings.task
        self._windows: dict[Split, Windows] = {
            "train": Windows(corpus.splits["train"], batch_size=task.batch_size, steps=task.steps, whole_window=True),
            "valid": Windows(corpus.splits["valid"], batch_size=task.eval_batch_size, steps=task.eval_steps),
            "test": Windows(corpus.splits["test"], batch_size=task.eval_batch_size, steps=task.eval_steps),
        }

    def network(self, cell: Cell, engine: str) -> LanguageModel:
        """Return a new language model around a cell."""
        return LanguageModel(cell, len(self.corpus.vocabulary), self.settings.network, engine)

    def recurrent_layers(self, network: nn.Module) -> Sequence[Recurrent]:
        """Return the model's one recurrent stack."""
        assert isinstance(network, LanguageModel)
        return [network.recurrent]

    def loader(self, split: Split) -> SequentialLoader[Batch]:
        """Return the windows of a split in order; a batch is (inputs, targets), each (steps, batch)."""
        return SequentialLoader(self._windows[split])

    def learn(self, network: nn.Module, batch: Batch, state: State | None) -> Learned:
        """Return the loss of one window: mean over tokens, or summed over steps and averaged over columns."""
        inputs, targets = batch
        logits, state = network(inputs, state)
        nll_nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
        count = int((targets != IGNORED).sum())
        weight = count if self.settings.task.loss == "token_mean" else targets.shape[1]
        return Learned(nll_nats / max(weight, 1), {"nll_nats": (nll_nats.detach(), count)}, count, state, weight)

    def scores(self) -> Scores:
        """Return empty scores for one pass over a split."""
        return _TextScores(self.settings.task.level == "word")

    def floors(self) -> dict[str, float]:
        """Return unigram and bigram on the same test tokens."""
        s, types = self.corpus.splits, len(self.corpus.vocabulary)
        return {
            "unigram": self._in_unit(unigram_nll_nats(s["train"], s["test"], types)),
            "bigram": self._in_unit(bigram_nll_nats(s["train"], s["valid"], s["test"], types)),
        }

    def optimum(self) -> float | None:
        """Return the true process's own perplexity on the test tokens, where the text is generated."""
        if self.story is None:
            return None
        return self._in_unit(-float(self.story.log_probability_nats[1:].mean()))

    def views(self, network: nn.Module) -> list[View]:
        """Return what the trained network does on the test text."""
        nll_nats = self._token_nll_nats(network)
        if self.story is not None and isinstance(self.settings.data, Sentences):
            return views.of_sentences(nll_nats, self.story, self.settings.data)
        return [views.by_frequency(nll_nats, self.corpus)]

    def probed(self) -> Probed:
        """Return the beginning of columns of the validation text, whatever the sizes of evaluation."""
        tokens = self.corpus.splits["valid"]
        columns = max(1, min(_PROBED_COLUMNS, (len(tokens) - 1) // _PROBED_STEPS))
        inputs, targets = Windows(tokens, batch_size=columns, steps=_PROBED_STEPS)[0]
        whole = targets[-1] != IGNORED
        words = tuple(self.corpus.vocabulary[token] for token in inputs[:, 0].tolist())
        data = self.settings.data
        official = None if isinstance(data, Sentences) else OFFICIAL.get(data.name)
        redistributable = official is None or official.dataset.redistributable
        return Probed((inputs[:, whole], targets[:, whole]), words, redistributable)

    def last_loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the negative log-likelihood of each column's last token, (columns,)."""
        inputs, targets = batch
        logits, _ = network(inputs)
        return F.cross_entropy(logits[-1], targets[-1], reduction="none")

    def on_other_data(self, settings: LanguageSettings, split: Split) -> LanguageTask:
        """Return this task with a split of another text as its test split, in the run's vocabulary."""
        data, own = settings.data, self.settings.data
        if isinstance(data, Sentences):
            story = data.generate(split)
            tokens = [data.vocabulary[token] for token in story.tokens]
            name, checksums = "sentences", {f"sentences/{split}": _sha256(story)}
        else:
            if data.vocabulary_size not in (None, getattr(own, "vocabulary_size", None)):
                raise CellwiseError(
                    f"data.vocabulary_size={data.vocabulary_size} has no effect here: the vocabulary stays the run's"
                )
            raw, official = _read(data, settings)
            story, name, checksums = None, raw.name, dict(raw.checksums)
            tokens = cut_and_split(raw, level=settings.task.level, official=official)[split]
        task = LanguageTask(settings, with_other_test(self.corpus, name, tokens, checksums), story)
        unknown = task.corpus.unknown_rate["test"]
        task.remarks = (f"{len(tokens):,} tokens of {split} of {name}",)
        if unknown:
            task.remarks += (f"{unknown:.2%} of them are unknown to the run and count as {UNKNOWN}",)
        return task

    def _in_unit(self, nll_nats: float) -> float:
        return math.exp(nll_nats) if self.objective is PERPLEXITY else nll_nats / math.log(2)

    def _token_nll_nats(self, network: nn.Module) -> Tensor:
        """Negative log-likelihood of each test token but the first, in the order of the text, float64 (tokens - 1,)."""
        rows, state = [], None
        device = next(network.parameters()).device
        for inputs, targets in self.loader("test"):
            logits, state = network(inputs.to(device), state)
            flat = logits.double().flatten(0, 1)
            nll = F.cross_entropy(flat, targets.to(device).flatten(), ignore_index=IGNORED, reduction="none")
            rows.append(nll.view(targets.shape).cpu())
        by_column = torch.cat(rows).t().reshape(-1)  # a column is a contiguous piece of the text
        return by_column[: self._windows["test"].predictions]


class _TextScores(Scores):
    """Perplexity and bits per token from float64 sums."""

    def __init__(self, words: bool):
        self._words, self._perplexity, self._bits = words, Perplexity(), BitsPerCharacter()

    def update(self, network: nn.Module, batch: Batch, state: State | None) -> State:
        inputs, targets = batch
        logits, new = network(inputs, state)
        metric = self._perplexity if self._words else self._bits
        metric.to(logits.device).update(logits, targets)
        assert isinstance(new, dict)
        return new

    def compute(self) -> dict[str, float]:
        if self._words:
            perplexity = float(self._perplexity.compute())
            return {"perplexity": perplexity, "nll_nats_per_word": math.log(perplexity)}
        bits = float(self._bits.compute())
        return {"bits_per_character": bits, "nll_nats_per_character": bits * math.log(2)}


def _generated(data: Sentences) -> tuple[Corpus, Text]:
    """The embedded text as a corpus; its checksum is that of the tokens."""
    texts = {split: data.generate(split) for split in ("train", "valid", "test")}
    for split, text in texts.items():
        if len(text.tokens) < 2:
            raise CellwiseError(f"data.{split}_tokens gives an empty text; give data.{split}_tokens=20000")
    corpus = Corpus(
        name="sentences",
        level="word",
        vocabulary=data.vocabulary,
        splits={split: text.tokens for split, text in texts.items()},
        checksums={f"sentences/{split}": _sha256(text) for split, text in texts.items()},
        unknown_rate=dict.fromkeys(texts, 0.0),
    )
    return corpus, texts["test"]


def _sha256(text: Text) -> str:
    return hashlib.sha256(text.tokens.tobytes()).hexdigest()


def _loaded(data: TextSettings, settings: LanguageSettings) -> Corpus:
    raw, official = _read(data, settings)
    return build_corpus(raw, level=settings.task.level, vocabulary_size=data.vocabulary_size, official=official)


def _read(data: TextSettings, settings: LanguageSettings) -> tuple[RawText, OfficialText | None]:
    raw, official = read_text(data.name, path=data.path, data_dir=settings.data_dir)
    if data.sha256 is not None and raw.sha256 != data.sha256:
        raise CellwiseError(
            f"{data.path} has changed since the run was planned: its sha256 was {data.sha256} then and is {raw.sha256} "
            "now; put the text back, or type the command again, without data.sha256, for a run on the text as it is"
        )
    return raw, official
