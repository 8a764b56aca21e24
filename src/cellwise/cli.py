"""The commands. Each imports what it needs when it is called, so help, lists and reports answer at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cellwise.errors import CellwiseError, RunFailedError
from cellwise.studies import run_sweep, run_two_phases, say_how_to_sync, show_bench, show_report, show_tuning

app = typer.Typer(
    name="cellwise",
    help="Which recurrent cell is better for this task, by how much, at what cost, and why?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing the rich one costs as much as everything else
)
data_app = typer.Typer(help="Data sets: list, fetch, verify.", no_args_is_help=True)
app.add_typer(data_app, name="data")
score_app = typer.Typer(help="Files of answers, scored as a task's official judge does.", no_args_is_help=True)
app.add_typer(score_app, name="score")

Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, as in conf/; for example cell=gru seed=1")]
Run = Annotated[Path, typer.Argument(help="A finished run's folder, runs/<study>/<cell>-<8 hex>/seed-<n>.")]
CellModules = Annotated[str, typer.Option(help="Modules or .py files that register cells, comma-separated.")]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Runs at a time; short for launcher.jobs=...")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout-minutes", min=0.0, help="End a run that takes longer; for launcher.timeout_minutes=..."),
]


@app.command()
def train(
    overrides: Overrides = None,
    multirun: Annotated[bool, typer.Option("--multirun", "-m", help="Sweep: key=a,b,c.")] = False,
    jobs: Jobs = None,
    timeout_minutes: Timeout = None,
) -> None:
    """Train one configuration; with -m a sweep: cellwise train -m cell=rnn,lstm,gru seed=0,1,2."""
    from cellwise.sweep.plan import plan

    runs = plan([*(overrides or []), *_launcher_words(jobs, timeout_minutes)])
    if len(runs) > 1 and not multirun:
        raise CellwiseError("several values mean a sweep; type `cellwise train -m ...`")
    if multirun or runs.launcher.name != "local":
        run_sweep(runs, runs.launcher)
        return
    from cellwise.report.terminal.progress import progress_bar
    from cellwise.training.train import train as train_one

    with progress_bar() as bar:
        outcome = train_one(runs[0].config, progress=bar.row)
    print(f"{runs[0].label}: {outcome.note}")
    print(f"record: {outcome.folder}")
    say_how_to_sync([(outcome.folder, runs[0].config)])


@app.command()
def study(
    name: Annotated[
        str | None, typer.Argument(help="A study of experiments/, or the path of a folder of yours.")
    ] = None,
    overrides: Overrides = None,
    jobs: Jobs = None,
    timeout_minutes: Timeout = None,
) -> None:
    """Run a study, tune first where it says so, and compare its cells; without a name: the list.

    Finished runs are skipped; `tune.trials=8` and the like change a study of two phases.
    """
    from cellwise.records.question import write_question
    from cellwise.sweep.plan import plan
    from cellwise.sweep.study import is_of_phases, load_study_file, study_names

    if name is None:
        for known in study_names():
            print(f"{known}: {load_study_file(known).question}")
        return
    given = overrides or []
    file = load_study_file(name, [word for word in given if is_of_phases(word)])
    words = [*(word for word in given if not is_of_phases(word)), *_launcher_words(jobs, timeout_minutes)]
    print(f"{file.name}: {file.question}")
    if file.phases is not None:
        run_two_phases(file, words)
        return
    runs = plan([f"study={file.name}", *file.overrides, *words], file.sweep)
    write_question(runs[0].folder.parents[1], file.question)
    run_sweep(runs, runs.launcher)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A study's folder of runs, for example runs/demo.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file, Markdown beside it; default: report.html in the folder.")
    ] = None,
    across: Annotated[
        str, typer.Option(help="Compare all the same though these differ: data, budget, code; comma-separated.")
    ] = "",
    target: Annotated[
        float | None, typer.Option(help="Tell too which cell's validation was first at this value or better.")
    ] = None,
) -> None:
    """Compare the runs of a study: a table here, one HTML file that needs no network, Markdown and CSV."""
    if show_bench(folder, out):
        return
    if not show_tuning(folder, alone=out is None and not across and target is None):
        show_report(folder, out, across, target)


@app.command()
def cells(name: Annotated[str | None, typer.Argument(help="A cell.")] = None, cell_modules: CellModules = "") -> None:
    """List the registered cells, or show one: equations, paper, options, differences."""
    from cellwise.cells.registry import import_cells
    from cellwise.report.terminal.cells import describe, listing

    import_cells(cell_modules.split(",") if cell_modules else [])
    print(listing() if name is None else describe(name))


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A registered cell.")],
    cell_modules: CellModules = "",
) -> None:
    """Run the contract suite on a cell: shapes, lengths, chunks, gradients, engines."""
    from cellwise.cells.registry import import_cells
    from cellwise.report.terminal.cells import known_cell
    from cellwise.testing.contract import LEFT_OUT, check_cell

    import_cells(cell_modules.split(",") if cell_modules else [])
    known_cell(name)
    told: set[str] = set()
    failed = 0
    for title, error in check_cell(name):
        failed += error not in (None, LEFT_OUT)
        again = error in told
        told.add(error or "")
        mark = "ok  " if error is None else "    " if error == LEFT_OUT else "FAIL"
        print(f"{mark} {title}" + (": as above" if again else f": {error}" if error else ""))
    if failed:
        raise CellwiseError(f"cell {name!r} breaks {failed} of the contract's checks (above)")


@app.command()
def status(folder: Annotated[Path, typer.Argument(help="A study's folder of runs, for example runs/demo.")]) -> None:
    """Say where a study stands, while it runs and after: planned, running, finished, cut off, failed with errors."""
    from cellwise.report.terminal.status import status_lines

    for line in status_lines(folder):
        print(line)


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="A study's folder of runs, or the folder that holds studies: runs.")],
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets others in, without a password.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any free one; default: a free one from 8008 on.")
    ] = None,
    across: Annotated[str, typer.Option(help="As of report: data, budget, code.")] = "",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser, too.")] = False,
) -> None:
    """Show the page of a study live in the browser, on this machine alone unless told; Ctrl-C ends it."""
    from cellwise.report.live.watch import serve

    serve(folder, host, port, across, open_browser=open_browser)


@app.command()
def rerun(run: Run) -> None:
    """Repeat a run from its record and report the first difference, or none; the record stays as it is."""
    from cellwise.report.terminal.progress import progress_bar
    from cellwise.training.rerun import rerun as repeat

    with progress_bar() as bar:
        repeated = repeat(run, progress=bar.row)
    if repeated.changed:
        print(f"changed since: {', '.join(repeated.changed)}")
    if repeated.difference is not None:
        raise RunFailedError(f"{run} is not repeated: {repeated.difference}")
    print(f"identical: {repeated.rows} rows and the summary")


@app.command()
def extend(
    run: Run,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs in all, not more of them.")] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps in all, for a run that counts them.")
    ] = None,
) -> None:
    """Train a finished run on: the longer run gets its own folder, with the bits of one that long from the start."""
    from cellwise.report.terminal.progress import progress_bar
    from cellwise.training.extend import extend as train_on

    with progress_bar() as bar:
        outcome = train_on(run, epochs=epochs, steps=steps, progress=bar.row)
    print(outcome.note)
    print(f"record: {outcome.folder}")


@app.command()
def evaluate(
    run: Run,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="data=..., data.<key>=..., task.eval_batch_size=...; none: its own data.")
    ] = None,
    split: Annotated[Literal["test", "valid", "train"], typer.Option("--split", help="Of these data.")] = "test",
    out: Annotated[Path | None, typer.Option("--out", help="A JSON file to write, too.")] = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="VQA: a file of its answers in the official form to write, too.")
    ] = None,
) -> None:
    """Score a run's selected weights on other data; its vocabulary stays, and so does its record."""
    from cellwise.records.plain import as_json, to_plain
    from cellwise.sweep.other_data import with_other_data
    from cellwise.training.evaluate import evaluate as score
    from cellwise.training.trained import read_config

    found = score(run, with_other_data(read_config(run), overrides or []), split, answers=answers is not None)
    for line in found.lines():
        print(line)
    if out is not None:
        _write(out, as_json({key: to_plain(value) for key, value in vars(found).items() if key != "answers"}))
    if answers is not None and found.answers is not None:
        _write(answers, found.answers, "--answers")


@app.command()
def predict(
    run: Run,
    source: Annotated[
        Path | None, typer.Option("--input", help="Nowcasting: a folder of radar files; the newest count.")
    ] = None,
    lead: Annotated[str | None, typer.Option("--lead", help="Nowcasting: how far, for example 60min or 1h.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Nowcasting: a NetCDF file to write; a PNG comes beside it.")
    ] = None,
    image: Annotated[Path | None, typer.Option("--image", help="VQA: the picture.")] = None,
    question: Annotated[str | None, typer.Option("--question", help="VQA: what to ask of it.")] = None,
) -> None:
    """Use a trained run on input of your own: a forecast from the newest radar frames; answers about a picture."""
    from cellwise.tasks import predict as predict_with
    from cellwise.training.trained import read_config

    given = {"--input": source, "--lead": lead, "--out": out, "--image": image, "--question": question}
    for line in predict_with(run, read_config(run), given):
        print(line)


@score_app.command("vqa")
def score_vqa(
    results: Annotated[Path, typer.Option("--results", help='A JSON list of {"question_id": ..., "answer": ...}.')],
    annotations: Annotated[Path, typer.Option("--annotations", help="The official annotations, plain or gzipped.")],
    questions: Annotated[
        Path | None, typer.Option("--questions", help="The official questions, to check that both are of the same.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A JSON file to write, too: each question's accuracy among it.")
    ] = None,
) -> None:
    """Score answers of any program as the official script of VQA does, to the last digit."""
    from cellwise.records.plain import as_json
    from cellwise.tasks.vqa.evaluation import judge, read_annotations, require_same_questions
    from cellwise.tasks.vqa.results import read_results

    annotated = read_annotations(annotations)
    if questions is not None:
        require_same_questions(annotated, questions)
    judged = judge(read_results(results), annotated)
    for line in judged.lines():
        print(line)
    if out is not None:
        _write(out, as_json(judged.to_plain()))


@app.command()
def export(
    run: Run,
    onnx: Annotated[Path, typer.Option("--onnx", help="The file to write, for example lstm.onnx.")],
) -> None:
    """Export a run's trained recurrent layer, with dynamic time, batch and lengths."""
    from cellwise.interop.onnx.run import export_run

    for line in export_run(run, onnx):
        print(line)


@app.command()
def clean(
    folder: Annotated[Path, typer.Argument(help="A study's folder of runs, or one run's.")],
    keep: Annotated[
        Literal["none", "selected"], typer.Option(help="selected: what evaluate and export need.")
    ] = "none",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove the checkpoints of finished runs; records, and runs that are not finished, stay as they are."""
    from cellwise.records.clean import clean as remove
    from cellwise.report.terminal.cleaned import cleaned_lines

    cleaned = remove(folder, keep_selected=keep == "selected", dry_run=dry_run)
    for line in cleaned_lines(cleaned, keep_selected=keep == "selected", dry_run=dry_run):
        print(line)


@app.command()
def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help="startup, overhead, trainer, probes, layers, registry, images, steps, memory, questions, replicas; "
            "none: all."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds: small sizes, for wrong results alone.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The registry at every shape.")] = False,
    device: Annotated[Literal["cpu", "cuda"], typer.Option("--device", help="cuda: layers alone, in bf16.")] = "cpu",
    out: Annotated[Path | None, typer.Option("--out", help="The folder; default: runs/bench/<time>.")] = None,
) -> None:
    """Measure what is promised: cells x engines x shapes, memory, start-up, overhead; CSV and a page."""
    from cellwise.bench.parts import Setting
    from cellwise.bench.run import bench as run

    run(parts or [], Setting(quick=quick, full=full, device=device), out)


@data_app.command("list")
def data_list() -> None:
    """List the data sets with licence and whether they are here."""
    from cellwise.data.get import data_folder, is_present
    from cellwise.tasks import data_sets

    folder = data_folder(None)
    for name in ("sentences", "moving_digits", "synthetic_rain", "shapes_qa"):
        print(f"{name:24} embedded, generated from a seed; nothing to fetch")
    print(f"data folder: {folder}")
    for name, dataset in data_sets().items():
        here = "present" if is_present(dataset, folder) else f"absent, `cellwise data get {name}`"
        print(f"{name:24} {dataset.description}; licence: {dataset.licence}; {here}")


@data_app.command("get")
def data_get(name: str, data_dir: str | None = None) -> None:
    """Fetch a data set from its official address, verify it, and put it into the data folder."""
    from cellwise.data.get import data_folder, fetch
    from cellwise.report.terminal.progress import progress_bar

    folder = data_folder(data_dir)
    with progress_bar() as bar:
        fetch(_dataset(name), folder, lambda done, total: bar(done, total or done, f"{done / 1e6:.1f} MB"))
    print(f"{name} is in {folder}")


@data_app.command("check")
def data_check(name: str, data_dir: str | None = None) -> None:
    """Verify the checksums of a data set."""
    from cellwise.data.get import check as verify
    from cellwise.data.get import data_folder

    dataset = _dataset(name)
    verify(dataset, data_folder(data_dir))
    known = all(file.sha256 for file in dataset.files)
    print(f"{name}: every file is there and " + ("unaltered" if known else "readable; nobody publishes its checksum"))


def _dataset(name: str) -> Any:
    from cellwise.errors import unknown
    from cellwise.tasks import data_sets

    known = data_sets()
    if name not in known:
        raise unknown("data set", name, known)
    return known[name]


def _launcher_words(jobs: int | None, timeout_minutes: float | None) -> list[str]:
    given = {"launcher.jobs": jobs, "launcher.timeout_minutes": timeout_minutes}
    return [f"{key}={value}" for key, value in given.items() if value is not None]


def _write(path: Path, content: bytes, option: str = "--out") -> None:
    from cellwise.files import write_atomically

    try:
        write_atomically(path, content)
    except OSError as error:
        raise CellwiseError(f"can't write {path}: {error.strerror}; give another file with {option}") from error
    print(f"written: {path}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits 0, 1 (runs failed), 2 (bad input) or 130 (interrupted)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    sys.exit(_exit_code(lambda: app([w for w in words if w != "--debug"], standalone_mode=False), debug))


def _exit_code(run: Callable[[], Any], debug: bool) -> int:
    from typer.exceptions import Abort, TyperException

    try:
        code = run()
    except CellwiseError as error:
        if debug:
            raise
        print(f"cellwise: {' '.join(str(error).split())}", file=sys.stderr)
        return 1 if isinstance(error, RunFailedError) else 2
    except TyperException as error:
        said = " ".join(error.format_message().split()).rstrip(".")
        print(f"cellwise: {said}; type `cellwise --help`", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Abort):
        code = 130
    except Exception as error:
        if debug:
            raise
        print(
            f"cellwise: {type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)",
            file=sys.stderr,
        )
        return 1
    if code == 130:  # what Typer makes of Ctrl-C
        print("cellwise: interrupted; finished runs are kept, the same command runs the others", file=sys.stderr)
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
