"""The READMEs' tables of speed are what the committed CSV say."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellwise.records.bench import load_bench
from tests.bench.made_up import made_up
from tests.bench.readme_table import RESULTS, ROOT, TABLES, long_table, short_table, with_tables


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_the_tables_are_fresh(path: Path) -> None:
    text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
    assert text == with_tables(text, TABLES[path](load_bench(RESULTS)), name), "stale; type `make generate`"


def test_a_row_has_milliseconds_and_ratio_by_shape(tmp_path: Path) -> None:
    bench = made_up(tmp_path)
    assert short_table(bench).splitlines()[:5] == [
        "| ms (over `nn.LSTM`) | A (20, 35, 200) | E (128, 50, 32) |",
        "| --- | --- | --- |",
        "| `nn.LSTM` | 8.00 | 8.00 |",
        "| `nn.GRU` | – | – |",
        "| `gru` fused | – | – |",
    ]
    told = long_table(bench)
    assert "| `peephole_lstm` fused | 10.0 (1.25x) | 10.0 (1.25x) |" in told
    assert "| layers | A: <worst> | 1.25x | 1.2x | **missed**, peephole_lstm |" in told
    assert "a made-up machine, torch.mm 100 GFLOP/s" in told


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"README.md must hold .* once each"):
        with_tables("", "", "README.md")
