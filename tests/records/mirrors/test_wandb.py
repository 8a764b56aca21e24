"""The offline mirror holds what the record holds, read back with W&B's own reader."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb

from cellwise.errors import CellwiseError
from cellwise.records.mirrors.contract import Mirrored
from cellwise.records.mirrors.settings import WandbSettings
from cellwise.records.mirrors.wandb import WandbMirror
from cellwise.records.schema import RunInfo
from cellwise.sweep.compose import compose_config
from cellwise.tasks.objective import Objective
from cellwise.training.train import train
from tests.records.mirrors.leet import by_step, final_summary, history, inspect, mirrored, of_type, offline_run
from tests.training.cut_runs import MEMORY, cut_before, folder_of

Tiny = Callable[..., dict[str, Any]]
Rows = Callable[[Path], list[dict[str, Any]]]
LONG = (
    *("trainer.max_epochs=1", "data.train_sequences=800", "trainer.log_every_steps=1"),
    "trainer.checkpoint_every_seconds=0.2",  # so that there are rows past the last one
)


@pytest.fixture
def run(tmp_path: Path, made_up_run_info: Callable[..., dict[str, Any]]) -> Mirrored:
    info = RunInfo.from_dict(made_up_run_info("lstm", 1))
    return Mirrored(tmp_path, info, {"study": "made_up", "seed": 1}, Objective("perplexity", "min", "perplexity"))


def test_two_runs_of_one_process_are_two_mirrors_of_their_records(tiny: Tiny, rows_of: Rows) -> None:
    same = ("logger=wandb", "trainer.max_steps=4", "trainer.validate_every_steps=2")
    ids = set()
    for seed in (0, 1):
        config = tiny(*same, f"seed={seed}", "study=mirrored")
        folder = train(config).folder
        summary, info = (json.loads((folder / name).read_text()) for name in ("summary.json", "run.json"))
        records = mirrored(folder)

        assert history(records) == by_step(rows_of(folder))
        [run] = of_type(records, "run")
        assert run["project"] == "cellwise"
        assert (run["run_group"], run["job_type"]) == ("mirrored", "lstm")
        assert sorted(run["tags"]) == ["language", "lstm", f"seed-{seed}"]
        assert run["display_name"] == f"{folder.parent.name}-seed-{seed}"
        said = run["config"]["update"]
        assert {name: said[name] for name in config} == config
        assert said["objective"] == {"metric": "perplexity", "direction": "min", "unit": ""}
        for fact in ("identity", "engine", "parameters", "flops_per_step", "code_sha256", "data"):
            assert said["record"][fact] == info[fact], fact
        ids.add(run["run_id"])

        final = final_summary(records)
        for name, value in summary["metrics"].items():
            assert final[f"test_{name}"] == value
        assert final["selected_validation_perplexity"] == summary["validation"]
        validated = [row["validation_perplexity"] for row in rows_of(folder) if "validation_perplexity" in row]
        assert final["validation_perplexity"]["min"] == min(validated)
        assert of_type(records, "exit")[0]["exit_code"] == 0
    shown = json.loads(inspect(folder, "--summary", "--json"))
    assert (shown["state"], shown["exit_code"]) == ("finished", 0)
    assert len(ids) == 2
    assert wandb.run is None  # finished: what a user logs next is not ours


def test_a_run_of_the_users_own_is_left_alone(tiny: Tiny, tmp_path: Path) -> None:
    theirs: Any = wandb.init(mode="offline", dir=str(tmp_path), settings=wandb.Settings(silent=True, console="off"))
    try:
        [run] = of_type(mirrored(train(tiny("logger=wandb")).folder), "run")
        assert run["run_id"] != theirs.id
        theirs.log({"still": "open"})
        assert wandb.run is not None
        assert wandb.run.id == theirs.id
    finally:
        theirs.finish()


def test_a_failed_run_is_a_failed_mirror(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("logger=wandb", "optim=sgd", "optim.learning_rate=1e38", "optim.clip_norm=null")
    with pytest.raises(CellwiseError, match="train_nll_nats is inf"):
        train(config)
    [folder] = (tmp_path / "runs" / "default").glob("*/seed-0")
    assert of_type(mirrored(folder), "exit")[0]["exit_code"] == 1


def test_without_the_logger_there_is_no_mirror(tiny: Tiny) -> None:
    assert not (train(tiny()).folder / "wandb").exists()


def test_a_run_that_was_cut_off_stays_one_run_and_a_repeated_one_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of: Rows
) -> None:
    words = [*MEMORY, "logger=wandb", f"runs_dir={tmp_path / 'runs'}"]
    ids = []
    for step in (4, 7):  # twice: rows up to the checkpoint are kept each time
        with monkeypatch.context() as patch:
            cut_before(patch, step)
            with pytest.raises(KeyboardInterrupt):
                train(compose_config(words))
        records = mirrored(folder_of(tmp_path))
        assert of_type(records, "exit")[0]["exit_code"] == 1  # it was finished, though it was interrupted
        ids.append(of_type(records, "run")[0]["run_id"])
    folder = train(compose_config(words)).folder
    records = mirrored(folder)
    assert history(records) == by_step(rows_of(folder))
    assert of_type(records, "exit")[0]["exit_code"] == 0
    assert {*ids, of_type(records, "run")[0]["run_id"]} == {ids[0]}

    train(compose_config([*words, "again=true"]))
    assert of_type(mirrored(folder), "run")[0]["run_id"] != ids[0]
    aside = folder.with_name("seed-0.replaced-1")
    assert of_type(mirrored(aside), "run")[0]["run_id"] == ids[0]


@pytest.mark.parametrize("sent", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_killed_and_started_again_it_is_one_folder_with_the_rows_of_the_record(
    sent: signal.Signals, tmp_path: Path, rows_of: Rows
) -> None:
    words = [*MEMORY, *LONG, "logger=[wandb,csv]", f"runs_dir={tmp_path / 'runs'}"]
    started = subprocess.Popen(
        [sys.executable, "-m", "cellwise.cli", "train", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not any(tmp_path.glob("runs/*/*/seed-0/checkpoints/step-*.ckpt")):
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(sent)
    started.wait()
    folder = folder_of(tmp_path)
    before, kept = offline_run(folder), len(rows_of(folder))
    assert not (folder / "summary.json").exists()
    train(compose_config(words))
    assert "goes on from step-" in (folder / "log.txt").read_text()
    assert not before.exists() or before == offline_run(folder)  # two starts within one second share a name
    records = mirrored(folder)
    assert history(records) == by_step(rows_of(folder))
    assert len(rows_of(folder)) > kept
    assert of_type(records, "run")[0]["run_id"] == (folder / "wandb" / "id").read_text().strip()
    assert of_type(records, "exit")[0]["exit_code"] == 0


SERVICE_KILLED = """
import sys
import psutil
from cellwise.sweep.compose import compose_config
from cellwise.training.module import TrainingModule
from cellwise.training.train import train
right = TrainingModule.on_train_batch_start
def kill(module, batch, batch_idx):
    if module.global_step == 3:
        for process in psutil.Process().children(recursive=True):
            process.kill()
    right(module, batch, batch_idx)
TrainingModule.on_train_batch_start = kill
print(train(compose_config(sys.argv[1:])).folder)
"""


@pytest.mark.slow
def test_a_service_that_is_killed_costs_a_line_and_not_the_run(tmp_path: Path, rows_of: Rows) -> None:
    words = [*MEMORY, "logger=[wandb,csv]", f"runs_dir={tmp_path / 'runs'}", "trainer.log_every_steps=1"]
    done = subprocess.run([sys.executable, "-c", SERVICE_KILLED, *words], capture_output=True, text=True)
    folder = Path(done.stdout.strip())
    assert (folder / "summary.json").exists()
    [said] = [line for line in (folder / "log.txt").read_text().splitlines() if "warning" in line]
    assert "warning: W&B failed and is left out from here on; the record is whole" in said
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + len(by_step(rows_of(folder)))


FULL_DISK = """
import resource, signal, sys
from cellwise.sweep.compose import compose_config
from cellwise.training.train import train
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # more than any file of ours, less than W&B's
print(train(compose_config(sys.argv[1:])).folder)
"""


@pytest.mark.slow
def test_what_w_and_b_could_not_write_costs_a_line_and_not_the_run(tmp_path: Path) -> None:
    words = [*MEMORY, *LONG, "logger=wandb", f"runs_dir={tmp_path / 'runs'}", "trainer.checkpoint_every_seconds=null"]
    done = subprocess.run([sys.executable, "-c", FULL_DISK, *words], capture_output=True, text=True)
    folder = Path(done.stdout.strip())
    assert (folder / "summary.json").exists(), done.stderr
    [said] = [line for line in (folder / "log.txt").read_text().splitlines() if "warning" in line]
    assert "its service could not write" in said


def given_to_wandb(monkeypatch: pytest.MonkeyPatch, run: Mirrored, settings: WandbSettings) -> dict[str, Any]:
    """What `wandb.init` is called with."""
    given: dict[str, Any] = {}

    def refused(**words: Any) -> None:
        given.update(words)
        raise wandb.errors.UsageError("No API key configured.\nUse `wandb login` to log in.")

    monkeypatch.setattr(wandb, "init", refused)
    with pytest.raises(CellwiseError) as caught:
        WandbMirror(run, settings)
    assert str(caught.value) == ("W&B: No API key configured; run `wandb login`, or keep logger.wandb.mode=offline")
    return given


def test_a_refusal_of_wandb_is_one_line(run: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to_wandb(monkeypatch, run, WandbSettings("online", "mine"))
    assert (given["mode"], given["project"], given["resume"]) == ("online", "mine", None)


@pytest.mark.parametrize("mode", ["online", "disabled"])
def test_what_waits_to_be_uploaded_stays_where_no_new_run_takes_its_place(
    mode: str, run: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = run.folder / "wandb" / "offline-run-20261120_100000-abc" / "run-abc.wandb"
    waiting.parent.mkdir(parents=True)
    waiting.touch()
    if mode == "online":
        given_to_wandb(monkeypatch, run, WandbSettings("online"))  # refused
    else:
        monkeypatch.setenv("WANDB_MODE", "disabled")
        mirror = WandbMirror(run, WandbSettings())
        mirror.log({"step": 1, "loss_nats": 0.5})
        mirror.close(None)
    assert waiting.exists()


def test_online_a_run_that_goes_on_is_resumed_and_one_that_begins_takes_the_place_of_what_was(
    run: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = given_to_wandb(monkeypatch, run, WandbSettings("online"))
    goes_on = Mirrored(run.folder, run.info, run.config, run.objective, goes_on=True)
    then = given_to_wandb(monkeypatch, goes_on, WandbSettings("online"))
    assert (first["resume"], then["resume"]) == (None, "allow")
    assert first["id"] == then["id"]
    assert given_to_wandb(monkeypatch, goes_on, WandbSettings("offline"))["resume"] is None


def test_what_the_user_set_for_wandb_is_respected(run: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = given_to_wandb(monkeypatch, run, WandbSettings())
    assert (usual["mode"], usual["project"], usual["group"], usual["job_type"]) == (
        *("offline", "cellwise"),
        *("made_up", "lstm"),
    )
    theirs = {"MODE": "online", "PROJECT": "theirs", "RUN_GROUP": "g", "JOB_TYPE": "j", "TAGS": "t", "NOTES": "n"}
    for name, value in theirs.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    given = given_to_wandb(monkeypatch, run, WandbSettings())
    assert (given["mode"], given["project"]) == ("online", "theirs")
    assert not given.keys() & {"group", "job_type", "tags", "notes"}  # W&B reads them itself
    assert given_to_wandb(monkeypatch, run, WandbSettings("offline", "ours"))["mode"] == "offline"


class Resumed:
    """W&B's run as it comes back online: the server has steps below 3 already."""

    resumed, step, dir = True, 3, "/nowhere/files"

    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, Any]]] = []

    def define_metric(self, *args: Any, **words: Any) -> None:
        """Nothing."""

    def log(self, row: dict[str, Any], step: int) -> None:
        self.logged.append((step, row))


def test_online_rows_that_wandb_has_already_are_not_sent_again(run: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Resumed()
    monkeypatch.setattr(wandb, "init", lambda **words: there)
    mirror = WandbMirror(run, WandbSettings("online"))
    for step in (1, 2, 2, 3, 4):
        mirror.log({"step": step, "loss_nats": 0.5})
    assert [step for step, _ in there.logged] == [3, 4]


def test_error_reporting_is_off_unless_the_user_set_it(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_ERROR_REPORTING")
    train(tiny("logger=wandb"))
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "true")
    train(tiny("logger=wandb", "seed=1"))
    assert os.environ["WANDB_ERROR_REPORTING"] == "true"
