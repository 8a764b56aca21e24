"""`cellwise export RUN --onnx FILE`: the selected weights of a finished run; what is no such run is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from cellwise.cli import main
from cellwise.errors import CellwiseError
from cellwise.tasks.language.network import LanguageModel
from cellwise.training.train import train
from cellwise.training.trained import load_trained
from tests.interop.onnx.session import assert_same

Tiny = Callable[..., dict[str, Any]]
Capture = pytest.CaptureFixture[str]


def typed(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, words)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("cell", ["peephole_lstm", "mgu"])
def test_the_selected_weights_of_a_run_are_exported(cell: str, tiny: Tiny, tmp_path: Path, capsys: Capture) -> None:
    folder = train(tiny(f"cell={cell}", "network.num_layers=2")).folder
    path = tmp_path / "layer.onnx"
    assert typed(folder, "--onnx", path) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{path}: ")
    assert [line.split()[:2] for line in said[1:4]] == [["input", "x"], ["input", "lengths"], ["input", "h_0"]]
    assert "(time, batch, 8)" in said[1]
    assert said[3].endswith("optional: state h to start from; left out, 0 everywhere")
    assert (
        said[-1] == "Without the optional inputs the layer starts as it started in training; give h_n as h_0 to go on."
    )
    network = load_trained(folder).network
    assert isinstance(network, LanguageModel)
    saved = torch.load(folder / "checkpoints" / "selected.pt", weights_only=True)
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())
    assert_same(network.recurrent, onnx.load(path), 9, [9, 0, 4])
    assert_same(network.recurrent, onnx.load(path), 9, [9, 0, 4], with_state=False)


def test_the_start_that_a_run_learned_is_exported(tiny: Tiny, tmp_path: Path, capsys: Capture) -> None:
    folder = train(tiny("cell=slstm", "network.layer.learned_state=true")).folder
    path = tmp_path / "layer.onnx"
    assert typed(folder, "--onnx", path) == 0
    said = capsys.readouterr().out
    assert "left out, the layer's own, learned start" in said
    assert "left out, -30000 everywhere" in said
    network = load_trained(folder).network
    assert isinstance(network, LanguageModel)
    assert_same(network.recurrent, onnx.load(path), 5, [5, 2], with_state=False)


def test_what_is_no_finished_run_of_this_cell_is_one_line(
    tiny: Tiny, write_cell: Callable[..., Path], tmp_path: Path, capsys: Capture
) -> None:
    file = write_cell("leaky")
    folder = train(tiny("cell=leaky", f"cell_modules=[{file}]")).folder
    path = tmp_path / "layer.onnx"

    def said() -> str:
        assert typed(folder, "--onnx", path) == 2
        assert not path.exists()
        [line] = capsys.readouterr().err.splitlines()
        return line

    checkpoint, summary, info = folder / "checkpoints" / "selected.pt", folder / "summary.json", folder / "run.json"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    assert "selected.pt does not fit its network: " in said()
    checkpoint.unlink()
    assert "selected.pt is missing; again=true with the command in run.json repeats the run" in said()
    checkpoint.write_bytes(whole)
    recorded = json.loads(info.read_text())
    info.write_text(json.dumps({**recorded, "cell_sha256": "0" * 64}))
    assert "the code of cell 'leaky' has been edited since" in said()
    summary.unlink()
    assert "is not a finished run; the command in its run.json finishes it" in said()
    (folder / "config.yaml").write_text("[")
    assert "config.yaml is damaged: " in said()
    (folder / "config.yaml").write_text("")
    assert "config.yaml is damaged: it holds no configuration" in said()
    (folder / "config.yaml").unlink()
    assert "it has no config.yaml; give a run's folder, runs/<study>/<cell>-<8 hex>/seed-<n>" in said()


def test_a_folder_is_no_file(tiny: Tiny, tmp_path: Path, capsys: Capture) -> None:
    folder = train(tiny()).folder
    assert typed(folder, "--onnx", tmp_path) == 2
    assert "is a folder; give a file, for example --onnx " in capsys.readouterr().err


def test_a_run_is_loaded_for_evaluation(tiny: Tiny) -> None:
    trained = load_trained(train(tiny("network.dropout=0.5")).folder)
    assert not any(module.training for module in trained.network.modules())
    assert trained.task.name == "language"


def test_no_folder_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CellwiseError, match=r"it has no config.yaml"):
        load_trained(tmp_path / "none")
