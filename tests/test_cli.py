"""Bad input is one line that says what was wrong and what to type; nothing half-done is taken for finished."""

from __future__ import annotations

import errno
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

import cellwise.cli
from cellwise.cli import main
from cellwise.errors import CellwiseError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with texts of all kinds, and a data folder in which each file is wrong in its own way."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CELLWISE_DATA", raising=False)
    (folder / "empty.txt").write_text("")
    (folder / "blank.txt").write_text(" \n\n")
    (folder / "short.txt").write_text("one two three\n")
    (folder / "hundred.txt").write_text("a b c d\n" * 20)
    (folder / "latin.txt").write_bytes("déjà vu\n".encode("latin-1") * 50)
    (folder / "no_test").mkdir()
    (folder / "no_test" / "train.txt").write_text("a b c d\n" * 50)
    (folder / "file").write_text("")
    (folder / "bad_bench").mkdir()
    (folder / "bad_bench" / "bench.json").write_text("{}")
    data = folder / "data"
    (data / "ptb").mkdir(parents=True)
    (data / "timemachine").mkdir()
    (data / "ptb" / "ptb.train.txt").write_text("altered")
    whole = gzip.compress(b"The Time Machine, by H. G. Wells\n" * 100)
    (data / "timemachine" / "timemachine.txt.gz").write_bytes(whole[: len(whole) // 2])
    return folder


def typed(*words: str) -> int:
    """Type `cellwise ...` and return the exit code."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    code = ended.value.code
    assert isinstance(code, int)
    return code


TRAIN = ("train", "trainer=smoke", "trainer.threads=1")
BAD = [
    ((*TRAIN, "cell=lstmm"), "unknown cell 'lstmm'; did you mean 'lstm'? allowed: "),
    ((*TRAIN, "cell=gru", "cell.resett=after"), "unknown key in 'cell' 'resett'; did you mean 'reset'? allowed: "),
    ((*TRAIN, "cell=gru", "cell.reset=never"), "cell.reset=never is not an option of 'gru'; allowed: after, before"),
    ((*TRAIN, "task=langage"), "unknown task 'langage'; did you mean 'language'? allowed: language"),
    ((*TRAIN, "task.name=none"), "unknown task 'none'; allowed: language"),
    ((*TRAIN, "nope=1"), "unknown key 'nope'; allowed: again, budget, cell, "),
    ((*TRAIN, "nonsense"), "can't read 'nonsense'; an override is key=value, for example cell=gru seed=1"),
    ((*TRAIN, "data=wikitext2", "data_dir=data"), "wikitext2 is not in data (looked for wikitext-2/train.txt or .gz); "
     "type `cellwise data get wikitext2` or set data_dir/CELLWISE_DATA"),
    ((*TRAIN, "data=ptb", "data_dir=data"), "data/ptb/ptb.train.txt is altered: expected sha256 fcea919f"),
    ((*TRAIN, "data=timemachine", "data_dir=data"), "data/timemachine/timemachine.txt.gz cannot be uncompressed, it is "
     "truncated or damaged"),
    ((*TRAIN, "data=text"), "data.path is not set; give data.path="),
    ((*TRAIN, "data=text", "data.path=none.txt"), "no text at none.txt; give a UTF-8 text file, or a folder with "),
    ((*TRAIN, "data=text", "data.path=empty.txt"), "empty.txt is empty; a language model needs text with at least "),
    ((*TRAIN, "data=text", "data.path=blank.txt"), "blank.txt is empty; a language model needs text with at least "),
    ((*TRAIN, "data=text", "data.path=latin.txt"), "latin.txt is not UTF-8: byte 0xe9 at position 1; convert it, "),
    ((*TRAIN, "data=text", "data.path=short.txt"), "short.txt has 4 tokens; at least 40 are needed to split 90/5/5, "),
    ((*TRAIN, "data=text", "data.path=no_test"), "no_test lacks valid.txt, test.txt; a text folder needs train.txt, "),
    ((*TRAIN, "data=text", "data.path=hundred.txt"), "the training text has 90 tokens, less than one window of "
     "task.steps=35 for each of task.batch_size=20 columns; type task.batch_size=2"),
    ((*TRAIN, "network.hidden_size=-3"), "network.hidden_size=-3 is too small; it must be 1 or more"),
    ((*TRAIN, "task.batch_size=0"), "task.batch_size=0 is too small; it must be 1 or more"),
    ((*TRAIN, "data.train_tokens=-5"), "data.train_tokens=-5 is not allowed; it must be a whole number of at least 1"),
    ((*TRAIN, "seed=one"), "seed='one' must be a whole number, 0 or more"),
    ((*TRAIN, "seed=-1"), "seed=-1 must be a whole number, 0 or more"),
    ((*TRAIN, "seed=1,2"), "several values mean a sweep; type `cellwise train -m ...`"),
    ((*TRAIN, "-m", "seed=1,one"), "seed='one' must be a whole number, 0 or more"),
    ((*TRAIN, "-m", "seed=1,2", "network.hidden_size=0"), "network.hidden_size=0 is too small; it must be 1 or more"),
    ((*TRAIN, "-m", "--jobs", "0"), "Invalid value for '--jobs' / '-j': Input should be greater than or equal to 1"),
    ((*TRAIN, "runs_dir=file"), "can't write the run's folder file/default/lstm-"),
    ((*TRAIN, "study=a/b"), "study='a/b' must be a name without '/', for example study=my_question"),
    ((*TRAIN, "probe=heavy"), "probe=heavy is not allowed; allowed: off, light, full"),
    ((*TRAIN, "trainer.engine=fast"), "trainer.engine=fast is not allowed; allowed: auto, reference, native"),
    (("train", "--sed", "1"), "No such option: --sed"),
    (("trian",), "No such command 'trian'"),
    (("study", "demmo"), "unknown study 'demmo'; did you mean 'demo'? allowed: "),
    (("report", "runs/nothing"), "no runs in runs/nothing: no such folder; allowed: a folder of "),
    (("report", "no_test"), "no runs in no_test: nothing in it is a run; allowed: a folder of "),
    (("report", "no_test", "--across", "cod"), "unknown ground 'cod'; did you mean 'code'? allowed: budget, code, "
     "data; runs that differ in it are compared all the same"),
    (("report", "no_test", "--target", "nan"), "target 1 of 1 is nan: leave out what is not finite"),
    (("report",), "Missing argument 'folder'; type `cellwise --help`"),
    (("cells", "lstmm"), "unknown cell 'lstmm'; did you mean 'lstm'? allowed: "),
    (("cells", "--cell-modules", "none.py"), "cell_modules: can't import 'none.py' "),
    (("check", "lstmm"), "unknown cell 'lstmm'; did you mean 'lstm'? allowed: "),
    (("data", "get", "penn"), "unknown data set 'penn'; allowed: mnist_test, mnist_train, ptb, timemachine, vqa_v2"),
    (("data", "check", "ptb", "--data-dir", "data"), "data/ptb/ptb.train.txt is altered: expected sha256 fcea919f"),
    (("bench", "layer"), "unknown part of the bench 'layer'; did you mean 'layers'? allowed: images, layers, memory, "),
    (("bench", "--quick", "memory"), "part 'memory' is not measured with --quick; allowed: layers, registry, images, "),
    (("bench", "--device", "cuda", "memory"), "part 'memory' is not measured with --device cuda; allowed: layers"),
    (("report", "bad_bench"), "bad_bench/bench.json: not a bench of schema 1"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line_and_exit_code_2(work: Path, capfd: Capture, words: tuple[str, ...], said: str) -> None:
    assert typed(*words) == 2
    out, err = capfd.readouterr()
    assert err.replace(f"{work}/", "").startswith(f"cellwise: {said}")  # a text that was read has its whole path
    assert err.count("\n") == 1
    assert out == ""
    assert not list(work.rglob("summary.json"))
    assert not (work / "runs").exists()  # it was refused before anything was written


def test_a_run_that_is_refused_in_its_middle_is_not_taken_for_finished(tiny_words: list[str], work: Path) -> None:
    lost = ["optim=sgd", "optim.learning_rate=1e38", "optim.clip_norm=null"]
    assert typed("train", *tiny_words, *lost) == 1
    assert typed("train", *tiny_words, *lost) == 1  # and again: it is not skipped


def test_one_run_says_its_score_and_where_its_record_is(tiny_words: list[str], work: Path, capfd: Capture) -> None:
    assert typed("train", *tiny_words, "cell=gru", "seed=4") == 0
    out, err = capfd.readouterr()
    assert err == ""
    first, second = out.splitlines()
    assert first.startswith("gru seed 4: perplexity ")
    folder = Path(second.removeprefix("record: "))
    assert (folder / "summary.json").exists()
    assert typed("train", *tiny_words, "cell=gru", "seed=4") == 0
    out, _ = capfd.readouterr()
    assert out.splitlines()[0] == "gru seed 4: finished already, skipped (again=true repeats it)"


def test_debug_shows_where(work: Path) -> None:
    with pytest.raises(CellwiseError, match="unknown cell 'lstmm'"):
        main(["--debug", "train", "cell=lstmm"])
    with pytest.raises(CellwiseError, match="unknown cell 'lstmm'"):
        main(["cells", "lstmm", "--debug"])


def test_a_bug_is_one_line_with_its_kind_and_exit_code_1(
    tiny_words: list[str], write_cell: Callable[..., Path], capfd: Capture
) -> None:
    words = ["train", *tiny_words, f"cell_modules=[{write_cell('buggy', 'int(chr(97))')}]", "cell=buggy"]
    assert typed(*words) == 1
    _, err = capfd.readouterr()
    assert err == "cellwise: ValueError: invalid literal for int() with base 10: 'a' (--debug shows where)\n"
    with pytest.raises(ValueError, match="invalid literal"):
        main(["--debug", *words])


def test_an_interrupt_is_exit_code_130(work: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cellwise.training.train.train", interrupted)
    assert typed(*TRAIN) == 130
    assert capfd.readouterr().err == (
        "cellwise: interrupted; finished runs are kept, the same command runs the others\n"
    )


def test_a_study_of_ones_own_runs_and_compares_its_cells(tiny_words: list[str], work: Path, capfd: Capture) -> None:
    (work / "mine").mkdir()
    (work / "mine" / "study.yaml").write_text(
        "question: Which?\noverrides: [optim=sgd]\nsweep: {cell: [rnn, gru], seed: [0, 1]}\n"
    )
    assert typed("study", "mine", *tiny_words, "runs_dir=runs") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith("mine: Which?\n")
    assert sum(line.startswith("finished ") for line in out.splitlines()) == 4
    assert (work / "runs" / "mine" / "report.html").exists()
    assert typed("report", "runs/mine", "--out", "page.html") == 0
    assert (work / "page.html").exists()
    assert (work / "page.md").read_text().startswith("# mine\n")
    assert not (work / "results.csv").exists()  # it stays with the runs
    for path in (work / "runs").rglob("config.yaml"):
        assert "name: sgd" in path.read_text()


def test_a_report_compares_across_what_it_is_told_and_says_who_reached_a_target(
    make_study: Callable[..., Path], capfd: Capture
) -> None:
    folder = make_study("mine", 3, ("lstm", "gru"))
    for path in (folder / "gru-0123abcd").glob("*/run.json"):
        path.write_text(path.read_text().replace("a" * 64, "e" * 64))
    assert typed("report", str(folder)) == 0
    out, _ = capfd.readouterr()
    assert "Not compared with each other: cellwise's own code differs (eeeeeeee: gru; aaaaaaaa: lstm); " in out
    assert f"type `cellwise report {folder} --across code`" in out
    assert "lstm is not distinguishable from gru" not in out.replace("\n", " ")
    assert "Not compared with each other" in (folder / "report.html").read_text()
    assert typed("report", str(folder), "--across", "code", "--target", "70") == 0
    out, _ = capfd.readouterr()
    assert "Not compared" not in out
    assert "Compared all the same, though cellwise's own code differs" in out.replace("\n", " ")
    assert "training steps until validation was at most 70.00" in out
    assert "Not compared" not in (folder / "report.html").read_text()


def test_a_page_that_would_take_the_markdowns_name_is_refused_at_once(
    make_study: Callable[..., Path], capfd: Capture
) -> None:
    assert typed("report", str(make_study("mine", 2, ("lstm", "gru"))), "--out", "report.md") == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "give --out a name such as report.html" in err


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_a_page_without_a_name_is_refused_at_once(out: str, make_study: Callable[..., Path], capfd: Capture) -> None:
    assert typed("report", str(make_study("mine", 2, ("lstm", "gru"))), "--out", out) == 2
    said, err = capfd.readouterr()
    assert said == ""
    assert "it is not a file; give --out a name such as report.html" in err


def test_a_page_is_written_elsewhere_of_runs_that_lie_where_nobody_may_write(
    make_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    folder = make_study("mine", 2, ("lstm", "gru"))

    def refuse(study: object, path: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("cellwise.report.results.write_results", refuse)
    assert typed("report", str(folder), "--out", str(tmp_path / "elsewhere" / "page.html")) == 0
    assert f"Results: cannot write {folder / 'results.csv'}: Read-only file system" in capfd.readouterr().out
    assert (tmp_path / "elsewhere" / "page.html").exists()
    assert typed("report", str(folder)) == 2
    assert f"cannot write {folder / 'results.csv'}: Read-only file system" in capfd.readouterr().err


def test_the_lists_say_what_there_is(work: Path, capfd: Capture) -> None:
    assert typed("cells") == 0
    assert "coupled_lstm" in capfd.readouterr().out
    assert typed("study") == 0
    assert "demo: " in capfd.readouterr().out
    assert typed("data", "list") == 0
    out = capfd.readouterr().out
    assert "absent, `cellwise data get ptb`" in out
    assert "may not be redistributed" in out


def test_help_names_every_command(capfd: Capture) -> None:
    assert typed("--help") == 0
    out = capfd.readouterr().out
    for command in ("train", "study", "report", "watch", "cells", "check", "bench", "data"):
        assert f"\n  {command} " in out
    assert typed() in (0, 2)  # nothing typed: the help again
    assert "Usage" in "".join(capfd.readouterr())
    assert cellwise.cli.__doc__
