"""`cellwise bench --quick` on everything; a wrong engine is told and ends with code 1; times in turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cellwise.bench import compared, layers, questions, registry, timing
from cellwise.bench.agreement import agreement, largest
from cellwise.bench.compared import products
from cellwise.bench.parts import PARTS, Setting, chosen
from cellwise.bench.peak import needed, peak_of
from cellwise.bench.problem import Problem, Shape, Step
from cellwise.bench.steps import linearity
from cellwise.bench.timing import in_turn
from cellwise.cells.registry import cell_names
from cellwise.cli import main
from cellwise.records.bench import Measurement, load_bench
from cellwise.recurrent import engines

SMALL = Shape("small", 3, 4, 5)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def bench(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *words])
    return ended.value.code


def test_quickly_everything_agrees_with_the_reference(tmp_path: Path) -> None:
    assert bench("--quick", "--out", str(tmp_path / "out")) == 0
    found = load_bench(tmp_path / "out")
    assert found.record.command == "cellwise bench --quick"
    assert found.record.quick and found.record.wrong == ()
    assert set(found.record.disagreement) >= {f"{cell} fused" for cell in cell_names()}
    assert set(found.record.parts) == {name for name, part in PARTS.items() if part.quick}
    fused = {row.cell for row in found.rows if (row.part, row.engine) == ("registry", "fused")}
    assert fused == set(cell_names())
    others = {row.engine for row in found.rows}
    assert {"native", "scan", "torch.nn", "torchrecurrent", "usual module", "fused", "reference"} <= others
    for row in found.rows:
        of_reference = row.engine == "reference"
        assert (row.disagreement is None) == of_reference
        assert of_reference or (row.disagreement is not None and row.disagreement < 1e-5)
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_wrong_engine_ends_with_code_1_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    right = engines.ENGINES["scan"]

    def wrong(*arguments: Any) -> Any:
        output, state = right(*arguments)
        return output * 1.001, state

    monkeypatch.setitem(engines.ENGINES, "scan", wrong)
    monkeypatch.setattr(registry, "cell_names", lambda: ["minimal_gru"])
    assert bench("registry", "--quick", "--out", str(tmp_path)) == 1
    said = "minimal_gru scan at shape small: output differs by 1.0e-03 from the reference, allowed 1e-05"
    assert said in capfd.readouterr().err
    [line] = load_bench(tmp_path).record.wrong
    assert line.startswith(said)


def test_without_a_gpu_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench("--device", "cuda", "--out", str(tmp_path / "out")) == 2
    assert "--device cuda: torch finds no NVIDIA GPU here; run it on " in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_parts_come_in_their_order_and_fit_the_setting() -> None:
    assert chosen([], Setting()) == list(PARTS)
    assert chosen(["layers", "startup"], Setting()) == ["startup", "layers"]
    assert chosen([], Setting(device="cuda")) == ["layers"]


def test_help_names_every_part(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("--help") == 0
    told = " ".join(capfd.readouterr().out.split())
    assert f"{', '.join(PARTS)}; none: all." in told


def test_results_that_lack_something_or_are_not_numbers_are_wrong() -> None:
    problem = Problem("gru", SMALL)
    expected = problem.ours("reference").results()
    nan = expected | {"output": expected["output"] * float("nan")}
    less = {name: value for name, value in expected.items() if name != "input"}
    told = [agreement(problem, Step("gru", "x", lambda: None, lambda r=r: r), expected) for r in (expected, nan, less)]  # type: ignore[misc]
    assert told[0] == (0.0, "")
    assert told[1].disagreement == float("inf") and "output differs by inf" in told[1].wrong
    assert told[2].wrong == "gru x at shape small: no input"


def test_where_rounding_is_amplified_float64_is_the_judge() -> None:
    """As far from float64 as the reference itself is no error; ten times as far is."""
    problem = Problem("rnn", SMALL)
    exact = problem.in_float64()

    def off_by(share: float) -> dict[str, torch.Tensor]:
        moved = {name: value.clone() for name, value in exact.items()}
        moved["output"] += share * moved["output"].abs().max()
        return moved

    expected = off_by(1e-3)
    for share, right in ((-1e-3, True), (-1e-2, False)):
        found = agreement(problem, Step("rnn", "x", lambda: None, lambda share=share: off_by(share)), expected)  # type: ignore[misc]
        assert found.disagreement > 1e-3
        assert (found.wrong == "") is right
    assert largest(expected, exact)[1] == "output"


def test_things_are_called_in_turn_and_the_first_two_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "MOST_ROUNDS", 5)
    order: list[str] = []

    def call(name: str) -> Any:
        def run() -> None:
            time.sleep(0.05 if len(order) < 4 else 0.001)
            order.append(name)

        return run

    found = in_turn({"a": call("a"), "b": call("b")})
    assert order == ["a", "b"] * 7
    for spread in found.values():
        assert spread.rounds == 5
        assert spread.iqr >= 0 and spread.median < 0.05
    assert in_turn({"a": call("a")}, once=True)["a"][1:] == (0.0, 1)


def test_costs_are_told_by_product() -> None:
    assert products("lstm") == products("peephole_lstm") == 1
    assert products("gru") == products("coupled_lstm") == 0.75
    assert products("full_gate_recurrence_lstm") == (8 + 9) / 8  # R has 3 gates, 3 hiddens wide


def test_findings_of_layers_are_the_worst_cell_of_one_product() -> None:
    def row(cell: str, engine: str, ms: float) -> Measurement:
        per_product = ms / 10 / products(cell)
        return Measurement(
            *("layers", cell, engine, "A", 1, 1, 1), ms=ms, baseline=compared.LSTM, ratio_per_product=per_product
        )

    rows = [
        *(row("lstm", "torch.nn", 10), row("gru", "torch.nn", 16), row("gru", "fused", 12)),
        *(row("peephole_lstm", "fused", 11), row("peephole_lstm", "jax", 10), row("lem", "fused", 90)),
    ]
    told = {one.what: (one.value, one.reached, one.note) for one in layers.findings(rows)}
    assert told == {
        "A: fused over nn.LSTM per product, worst cell of one product": (pytest.approx(1.6), False, "gru"),
        "A: fused peephole_lstm over JAX's scan": (pytest.approx(1.1), False, ""),
        "A: fused gru over nn.GRU": (0.75, True, ""),
    }


def test_a_line_is_fitted_where_a_millisecond_counts_most_for_few_steps() -> None:
    def rows(*ms: float) -> list[Measurement]:
        steps = (50, 100, 1000)
        return [Measurement("steps", "gru", "fused", f"T={n}", 1, n, 1, ms=m) for n, m in zip(steps, ms, strict=True)]

    straight = linearity(rows(3.0, 5.0, 41.0))  # 1 ms and 40 us a step
    assert [one.value for one in straight] == [pytest.approx(40.0), pytest.approx(0.0, abs=1e-9)]
    assert linearity(rows(3.0, 5.0, 400.0))[1].reached is False


@pytest.mark.slow
def test_peak_memory_is_that_of_the_buffers_that_a_layer_keeps() -> None:
    """The same in a second process, and no less than what has to be kept: gates and states but the output."""
    shape = Shape("", 16, 400, 64)
    peaks = [peak_of("peephole_lstm", "fused", shape) for _ in range(2)]
    takes = needed("peephole_lstm", shape)
    assert takes == 4 * 16 * 400 * 64 * 6
    for peak in peaks:
        assert not isinstance(peak, str)
        assert peak.output == 4 * 16 * 400 * 64
        assert takes < peak.beyond + peak.output < 2 * takes


def test_questions_a_second_are_measured_of_pixels_and_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_ROUNDS", 1)
    monkeypatch.setattr(questions, "_CELLS", ("rnn",))
    monkeypatch.setattr(questions, "_BATCHES", 1)
    monkeypatch.setattr(questions, "_RUN", (*questions._RUN[:-1], "data.train_questions=64"))
    rows = [row for found in questions.measure(Setting()) for row in found.findings]
    names = [f"shapes_qa, {images}: {what}" for images in ("pixels", "objects") for what in ("loader", "training, rnn")]
    assert [row.what for row in rows] == names
    assert all(row.value > 0 and row.unit == "questions/s" for row in rows)
