"""Sweeps and studies before the user's eyes: a line a run, a bar over all, then the comparison.

Imports what it needs when it is called, as the commands do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellwise.errors import CellwiseError, RunFailedError

if TYPE_CHECKING:
    from cellwise.records.store import Study
    from cellwise.sweep.launcher import Launcher
    from cellwise.sweep.plan import PlannedRun
    from cellwise.sweep.pool import Result, Watch
    from cellwise.sweep.source import Source
    from cellwise.sweep.study import StudyFile

MOST_NAMED = 5  # failures in the last line; each was told above


def run_sweep(runs: Sequence[PlannedRun], launcher: Launcher) -> None:
    """Execute a plan, then compare.

    Raises:
        RunFailedError: naming those that failed; the others are compared.
    """
    from cellwise.sweep.source import PlanSource

    results = _execute(PlanSource(runs), launcher, len(runs))
    failed, study = _failures(results), runs[0].folder.parents[1]
    if len(results) < len(runs) and not failed:
        print(f"`cellwise status {study}` tells how far they are; the same command with launcher.wait=true waits")
        return
    show_report(study, None, missing_is_error=not failed)
    _say_how_to_sync(results)
    if failed:
        raise _failed(failed, f"{len(failed)} of {len(runs)} runs failed", len(runs) - len(results))


def run_two_phases(file: StudyFile, words: Sequence[str]) -> None:
    """Tune each cell, choose on validation, then confirm the choice with fresh seeds and compare.

    Args:
        file: a study of two phases.
        words: further overrides.

    Raises:
        CellwiseError: see `cellwise.sweep.tuning.Tuning`.
        RunFailedError: naming trials and runs that failed; the others are compared.
    """
    from cellwise.records.question import write_question
    from cellwise.report.terminal.tuning import render_tuning
    from cellwise.sweep.choice import confirming, write_choice
    from cellwise.sweep.search import Search
    from cellwise.sweep.source import PlanSource
    from cellwise.sweep.tuning import Tuning

    tuning = Tuning(file, words)
    write_question(tuning.folder, file.question)
    with closing(Search(tuning)) as search:
        if ended := search.ended():
            print(f"{ended} of {tuning.trials} trials have ended before")
        tried = _execute(search, tuning.launcher, len(search), label=search.label, told=search.told, watch=search.watch)
        trials = search.trials()
    every = [(label, trial) for label, each in trials.items() for trial in each]
    failed = [f"{label} trial {trial.number}: {trial.error}" for label, trial in every if trial.state == "failed"]
    waiting = sum(not trial.has_ended for _, trial in every)
    record = write_choice(tuning, trials)
    render_tuning(record)
    print(f"Trials: {tuning.tuning_folder / 'trials.csv'}")
    what = f"{len(failed)} of {len(every)} trials failed"
    runs = confirming(tuning, record)
    if waiting or not runs:
        _say_how_to_sync(tried)
        raise _failed(failed, what, waiting)
    results = _execute(PlanSource(runs), tuning.launcher, len(runs))
    broken = _failures(results)
    show_report(tuning.folder, None, missing_is_error=not broken)
    _say_how_to_sync([*tried, *results])
    if failed or broken:
        what += f" and {len(broken)} of {len(runs)} runs" if broken else ""
        raise _failed([*failed, *broken], what, len(runs) - len(results))


def show_tuning(folder: Path, *, alone: bool = True) -> bool:
    """Print what tuning found, where a folder is that of tuning: its trials are no comparison of cells.

    Args:
        folder: any study's.
        alone: whether nothing was asked for that only a comparison has: a page, a target, what runs may differ in.

    Returns:
        Whether it is one of tuning.

    Raises:
        CellwiseError: tuning has not ended, or more was asked for.
    """
    from cellwise.records.question import read_question
    from cellwise.records.tuning import TUNING, read_tuning
    from cellwise.report.terminal.tuning import render_tuning

    study = folder.resolve().parent
    record = read_tuning(study) if (folder / "search.json").exists() else None
    if record is not None:
        if not alone:
            raise CellwiseError(
                f"{folder} holds trials, and trials are no comparison: they have no page of their own; without --out, "
                f"--across and --target they are listed, and the page of {folder.parent} shows them"
            )
        render_tuning(record)
        print(f"Trials: {folder / 'trials.csv'}")
    elif (folder / "optuna.journal").exists() or (
        folder.resolve().name == TUNING and read_question(study) is not None  # a sweep may be called so, too
    ):
        raise CellwiseError(f"{folder}: its trials have not all ended; type `cellwise status {folder}`")
    return record is not None


def show_bench(folder: Path, out: Path | None) -> bool:
    """Write the page of a bench, where a folder is one's.

    Args:
        folder: any study's, or a bench's.
        out: the HTML file; `report.html` in the folder when None.

    Returns:
        Whether it is a bench's.

    Raises:
        CellwiseError: a damaged record, or a file that can't be written.
    """
    from cellwise.records.bench import is_bench

    if not is_bench(folder):
        return False
    from cellwise.report.bench import write_bench_page

    print(f"page: {write_bench_page(folder, out or folder / 'report.html')}")
    return True


def show_report(
    folder: Path,
    out: Path | None,
    across: str = "",
    target: float | None = None,
    *,
    public: bool = False,
    missing_is_error: bool = True,
) -> None:
    """Print the comparison of a study, and write its page and its table of runs.

    Args:
        folder: of the study.
        out: the HTML file, beside which the Markdown is written; `report.html` in the folder when None.
        across: what runs may differ in and be compared all the same, comma-separated.
        target: of validation; which cell reached it first is told too.
        public: leave out of the page what shows data that may not be passed on.
        missing_is_error: whether a folder without runs is one.

    Raises:
        CellwiseError: no runs, unless that is no error; what runs can't differ in; a target that is not finite.
    """
    from cellwise.compare.comparable import read_grounds
    from cellwise.compare.values import finite
    from cellwise.records.store import load_study
    from cellwise.report.markdown import beside, write_markdown
    from cellwise.report.page import write_page
    from cellwise.report.terminal.table import render_terminal
    from cellwise.report.terminal.target import render_target

    grounds = read_grounds(across)
    place = out or folder / "report.html"
    written = beside(place)
    finite([] if target is None else [target], "target")
    try:
        found = load_study(folder)
    except CellwiseError:
        if missing_is_error:
            raise
        return
    render_terminal(found, across=grounds)
    if target is not None:
        render_target(found, target, across=grounds)
    print(f"Page: {write_page(found, place, grounds, target, public=public)}")
    print(f"Markdown: {write_markdown(found, written, grounds)}")
    _write_results(found, folder / "results.csv", page_is_beside=out is None)


def _write_results(found: Study, path: Path, *, page_is_beside: bool) -> None:
    """Write the table of runs beside them; where the page went elsewhere they may lie where nobody may write."""
    from cellwise.report.results import write_results

    try:
        print(f"Results: {write_results(found, path)}")
    except OSError as error:
        said = f"cannot write {path}: {error.strerror}"
        if page_is_beside:
            raise CellwiseError(said) from error
        print(f"Results: {said}")


def say_how_to_sync(runs: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """Print the one line that uploads what W&B wrote offline; nothing where there is none.

    Args:
        runs: folder and configuration of each.
    """
    from cellwise.records.mirrors.wandb_sync import sync_command

    command = sync_command(folder for folder, config in runs if "wandb" in config["logger"])
    if command is not None:
        print(f"W&B: offline; to upload: {command}")


def _say_how_to_sync(results: Sequence[Result]) -> None:
    say_how_to_sync([(result.run.folder, result.run.config) for result in results])


def _execute(
    source: Source,
    launcher: Launcher,
    runs: int,
    *,
    label: Callable[[PlannedRun], str] = lambda run: run.label,
    told: Callable[[Result], str] = lambda result: result.note,
    watch: Watch = lambda run, row: None,
) -> list[Result]:
    from cellwise.report.terminal.progress import progress_bar
    from cellwise.sweep.execute import execute

    with progress_bar() as bar:

        def finished(result: Result) -> None:
            note = told(result)
            took = f"  ({result.seconds:.0f} s)" if result.status == "finished" else ""
            bar.say(f"{result.status:8}  {label(result.run):22}  {note}{took}")

        def moved(done: float) -> None:
            bar(done, runs, f"of {runs} runs")

        return execute(source, launcher, finished=finished, moved=moved, watch=watch)


def _failures(results: Sequence[Result]) -> list[str]:
    return [f"{result.run.label}: {result.note}" for result in results if result.status == "failed"]


def _failed(failed: Sequence[str], what: str, stopped: int) -> RunFailedError:
    named = [f"{what}: {'; '.join(failed[:MOST_NAMED])}"] if failed else []
    if len(failed) > MOST_NAMED:
        named.append(f"and {len(failed) - MOST_NAMED} more, named above")
    if stopped:
        named.append(f"stopped before {stopped} others, which the same command runs")
    return RunFailedError("; ".join(named))
