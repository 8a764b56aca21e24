"""From a configuration to a record: the same again, the right weights tested, and every end told."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cellwise.budget import recurrent_flops
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.records.identity import run_folder
from cellwise.tasks import build_task
from cellwise.tasks.language.network import LanguageModel
from cellwise.tasks.language.task import LanguageTask
from cellwise.training.checkpoint import saved
from cellwise.training.settings import read
from cellwise.training.tally import Row
from cellwise.training.train import train

Tiny = Callable[..., dict[str, Any]]
Rows = Callable[[Path], list[dict[str, Any]]]


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def info(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def whole_text_perplexity(config: dict[str, Any], folder: Path, engine: str = "reference") -> float:
    """Perplexity of a run's selected weights on its test text, in one pass in float64."""
    settings = read(config)
    task = build_task("language", settings.task)
    assert isinstance(task, LanguageTask)
    network = task.network(build_cell(settings.cell, settings.cell_options), engine).double().eval()
    network.load_state_dict(torch.load(folder / "checkpoints" / "selected.pt", weights_only=True))
    tokens = torch.tensor(task.corpus.splits["test"])[:, None]
    with torch.no_grad():
        logits, _ = network(tokens[:-1])
    nats = -torch.log_softmax(logits, -1).gather(-1, tokens[1:, :, None])
    return math.exp(nats.mean())


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tiny: Tiny, rows_of: Rows) -> None:
    same = ("network.dropout=0.2", "trainer.max_steps=5", "trainer.validate_every_steps=2", "cell=peephole_lstm")
    first, again, other = (train(tiny(*same, *how)).folder for how in (("study=a",), ("study=b",), ("seed=1",)))
    assert untimed(rows_of(first)) == untimed(rows_of(again))
    assert summary(first)["value"] == summary(again)["value"]
    assert summary(first)["metrics"] == summary(again)["metrics"]
    for one, two in zip(rows_of(first), rows_of(other), strict=True):
        name = next(n for n in one if n.startswith(("train", "validation")))
        assert one[name] != two[name]
    assert summary(first)["value"] != summary(other)["value"]


@pytest.mark.parametrize("cell", ["lstm", "coupled_lstm"])
def test_the_window_of_evaluation_changes_no_score(tiny: Tiny, cell: str) -> None:
    values = {
        summary(train(tiny("trainer.precision=64-true", f"cell={cell}", f"task.eval_steps={steps}")).folder)["value"]
        for steps in (1, 7, 1000)
    }
    assert max(values) - min(values) < 1e-10 * min(values)


@pytest.mark.parametrize(("precision", "relative"), [("64-true", 1e-12), ("32-true", 1e-6)])
def test_with_batch_1_the_perplexity_is_that_of_the_whole_text(tiny: Tiny, precision: str, relative: float) -> None:
    config = tiny(f"trainer.precision={precision}", "task.eval_batch_size=1", "network.num_layers=2")
    folder = train(config).folder
    assert summary(folder)["value"] == pytest.approx(whole_text_perplexity(config, folder), rel=relative)


def test_test_is_scored_with_the_weights_that_validation_liked_best(tiny: Tiny, rows_of: Rows) -> None:
    config = tiny(
        *("data.train_tokens=300", "network.hidden_size=32", "optim.learning_rate=0.05", "task.eval_batch_size=1"),
        *("trainer.max_steps=80", "trainer.max_epochs=null", "trainer.validate_every_steps=4"),
        "trainer.log_every_steps=20",
    )
    folder = train(config).folder
    validations = {
        row["step"]: row["validation_perplexity"] for row in rows_of(folder) if "validation_perplexity" in row
    }
    best = min(validations, key=validations.__getitem__)
    assert len(validations) == 20
    assert best < 60  # it overfits, so that best and last differ
    assert summary(folder)["selected_step"] == best
    assert summary(folder)["validation"] == validations[best]
    assert summary(folder)["value"] == pytest.approx(whole_text_perplexity(config, folder), rel=1e-5)


def test_a_run_that_ends_between_validations_is_validated_at_its_end(tiny: Tiny, rows_of: Rows) -> None:
    folder = train(tiny("trainer.max_steps=5", "trainer.validate_every_steps=3", "trainer.log_every_steps=5")).folder
    assert [row["step"] for row in rows_of(folder) if "validation_perplexity" in row] == [3, 5]
    assert [row["step"] for row in rows_of(folder) if "train_nll_nats" in row] == [5]


def test_the_record_says_what_was_trained_and_at_what_cost(tiny: Tiny) -> None:
    config = tiny("cell=gru", "network.num_layers=2", "network.embedding_size=6")
    folder = train(config).folder
    said, result = info(folder), summary(folder)
    task = build_task("language", read(config).task)
    assert isinstance(task, LanguageTask)
    types = len(task.corpus.vocabulary)
    recurrent = sum(3 * 8 * units + 3 * 8 * 8 + 4 * 8 for units in (6, 8))
    assert said["parameters"] == {"recurrent": recurrent, "total": recurrent + types * 6 + types * 8 + types}
    assert said["flops_per_step"] == recurrent_flops(build_cell("gru"), 6, 8, 2)
    assert (said["status"], said["error"], said["engine"], said["threads"]) == ("finished", None, "native", 1)
    assert said["data"] == dict(task.checksums)
    assert result["floors"] == task.floors()
    assert result["optimum"] == task.optimum()
    assert result["optimum"] < result["floors"]["bigram"] < result["floors"]["unigram"]
    assert result["throughput"]["unit"] == "tokens/s"
    assert result["throughput"]["value"] == pytest.approx(80 / result["train_seconds"], rel=0.2)  # rounded to ms
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    [last] = saved(folder / "checkpoints")  # for more epochs
    assert written == [
        *("checkpoints/selected.pt", f"checkpoints/{last.name}"),
        *("config.yaml", "log.txt", "metrics.jsonl", "run.json", "summary.json"),
        *("views/effect_by_distance.json", "views/effect_by_distance.npz", "views/perplexity_against_optimum.json"),
    ]


def test_progress_goes_from_the_first_step_to_all(tiny: Tiny) -> None:
    told: list[tuple[float, Row]] = []
    train(tiny("trainer.max_steps=4"), progress=lambda share, row: told.append((share, row)))
    assert [share for share, _ in told] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert told[0][1]["step"] == 1 and "train_nll_nats" in told[0][1]
    assert told[-1][1]["step"] == 4 and "validation_perplexity" in told[-1][1]


def test_a_finished_run_is_skipped_and_repeated_when_asked(tiny: Tiny) -> None:
    first = train(tiny())
    stamp = (first.folder / "summary.json").stat().st_mtime_ns
    second = train(tiny())
    assert second.skipped
    assert second.note == "finished already, skipped (again=true repeats it)"
    assert (first.folder / "summary.json").stat().st_mtime_ns == stamp
    third = train(tiny("again=true"))
    assert not third.skipped
    assert third.folder == first.folder
    kept = first.folder.with_name("seed-0.replaced-1")
    assert (kept / "summary.json").stat().st_mtime_ns == stamp
    assert summary(kept)["value"] == summary(third.folder)["value"]


def test_a_loss_that_is_lost_ends_the_run_with_one_line(tiny: Tiny) -> None:
    config = tiny("optim=sgd", "optim.learning_rate=1e38", "optim.clip_norm=null", "trainer.max_steps=50")
    with pytest.raises(CellwiseError) as caught:
        train(config)
    assert str(caught.value).startswith("train_nll_nats is inf at step 2")
    assert "lower optim.learning_rate" in str(caught.value)
    folder = run_folder(config)
    assert (info(folder)["status"], info(folder)["error"]) == ("failed", str(caught.value))
    assert not (folder / "summary.json").exists()
    assert str(caught.value) in (folder / "log.txt").read_text()


def test_a_run_may_go_on_without_its_loss_and_is_told_as_diverged(tiny: Tiny, rows_of: Rows) -> None:
    lost = ("optim=sgd", "optim.learning_rate=1e38", "optim.clip_norm=null", "trainer.max_steps=5")
    with pytest.raises(CellwiseError, match=r"type trainer\.non_finite=go_on to go on all the same"):
        train(tiny(*lost))
    outcome = train(tiny(*lost, "trainer.non_finite=go_on"))
    assert outcome.note == "perplexity inf; diverged: not a finite number"
    losses = [row["train_nll_nats"] for row in rows_of(outcome.folder) if "train_nll_nats" in row]
    assert losses[0] is not None
    assert losses[1:] == [None] * 4
    assert (info(outcome.folder)["status"], summary(outcome.folder)["value"]) == ("finished", None)
    assert "goes on" not in (outcome.folder / "log.txt").read_text()  # the one that was stopped had no checkpoint yet


def test_a_run_that_stops_early_says_so_and_its_progress_is_complete(tiny: Tiny, rows_of: Rows) -> None:
    """At rate 0 no validation is better than the first."""
    told: list[float] = []
    more = ("trainer.max_steps=20", "trainer.validate_every_steps=3", "trainer.log_every_steps=5")
    config = tiny("optim.learning_rate=0", "trainer.patience=2", *more)
    folder = train(config, progress=lambda share, row: told.append(share)).folder
    steps = [row["step"] for row in rows_of(folder)]
    assert steps == [3, 5, 6, 9, 9]  # the last: the training steps since the fifth
    assert "train_nll_nats" in rows_of(folder)[-1]
    assert told == [0.15, 0.25, 0.3, 1.0, 1.0]
    (line,) = (folder / "log.txt").read_text().splitlines()
    assert "stops early at step 9: 2 validations in a row no better than perplexity" in line
    assert line.endswith("at step 3")
    assert summary(folder)["selected_step"] == 3


def test_a_warm_up_longer_than_the_epochs_is_refused_before_anything_is_written(tiny: Tiny, tmp_path: Path) -> None:
    words = ("data.train_tokens=200", "trainer.max_steps=null", "trainer.max_epochs=2", "optim.warmup_steps=1000")
    with pytest.raises(CellwiseError, match=r"optim.warmup_steps=1000 leaves none of the run's \d+ steps"):
        train(tiny(*words))
    assert not list(tmp_path.glob("runs/*/*/seed-0"))


def test_an_interrupted_run_says_so_and_is_begun_anew(tiny: Tiny) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(share: float, row: Row) -> None:
        if share == 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny("trainer.max_steps=4"), progress=interrupt)
    assert signal.getsignal(signal.SIGINT) == handler  # Lightning would leave Ctrl-C dead
    folder = run_folder(tiny("trainer.max_steps=4"))
    assert (info(folder)["status"], info(folder)["error"]) == ("failed", "interrupted")
    assert not (folder / "summary.json").exists()
    assert not train(tiny("trainer.max_steps=4")).skipped
    assert info(folder)["status"] == "finished"
    assert "interrupted" in (folder / "log.txt").read_text()


def test_an_error_of_a_cell_is_the_runs_in_one_line(tiny: Tiny, write_cell: Callable[..., Path]) -> None:
    file = write_cell("breaking_cell", "raise RuntimeError('one\\ntwo')")
    config = tiny(f"cell_modules=[{file}]", "cell=breaking_cell")
    with pytest.raises(RuntimeError):
        train(config)
    assert info(run_folder(config))["error"] == "RuntimeError: one two"
    assert not (run_folder(config) / "summary.json").exists()


@pytest.mark.filterwarnings("default")
def test_a_warning_goes_to_the_log_and_not_to_the_screen(
    tiny: Tiny, write_cell: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    file = write_cell("warning_cell", "import warnings; warnings.warn('look here')")
    folder = train(tiny(f"cell_modules=[{file}]", "cell=warning_cell")).folder
    assert "UserWarning: look here" in (folder / "log.txt").read_text()
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_written(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CellwiseError, match="torch sees no GPU here; type trainer=cpu"):
        train(tiny("trainer.accelerator=gpu"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_engine_changes_speed_only(tiny: Tiny, rows_of: Rows, cell: str) -> None:
    found = {}
    for engine in ("native", "reference"):
        folder = train(
            tiny(f"cell={cell}", f"trainer.engine={engine}", f"study={engine}", "trainer.max_steps=5")
        ).folder
        assert info(folder)["engine"] == engine
        found[engine] = [row["train_nll_nats"] for row in rows_of(folder) if "train_nll_nats" in row]
    assert found["native"] == pytest.approx(found["reference"], abs=1e-5)


def test_a_small_network_learns_a_short_text_by_heart(tiny: Tiny, rows_of: Rows) -> None:
    config = tiny(
        *("data.train_tokens=60", "network.hidden_size=48", "optim.learning_rate=0.02", "task.batch_size=1"),
        *("trainer.max_steps=150", "trainer.max_epochs=null", "trainer.log_every_steps=50", "optim.clip_norm=null"),
    )
    losses = [row["train_nll_nats"] for row in rows_of(train(config).folder) if "train_nll_nats" in row]
    assert losses[-1] < 0.2


def test_the_network_is_that_of_the_seed_whatever_was_drawn_before(tiny: Tiny) -> None:
    config = tiny("optim.learning_rate=0", "trainer.max_steps=1")
    values = []
    for study in ("a", "b"):
        torch.rand(17)
        values.append(summary(train({**config, "study": study}).folder)["value"])
    assert values[0] == values[1]
    assert isinstance(build_task("language", read(config).task).network(build_cell("lstm"), "auto"), LanguageModel)
