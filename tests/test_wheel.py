"""The wheel carries vocabulary, studies and page, and works where nothing of the source tree is at hand."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SMALL = ("data.train_tokens=3000", "data.valid_tokens=600", "data.test_tokens=600", "network.hidden_size=8")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-index", "--no-deps"]
    subprocess.run([*build, "--no-build-isolation", "--wheel-dir", str(out), str(ROOT)], check=True)
    [path] = out.glob("cellwise-*.whl")
    return path


def test_everything_that_is_not_code_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        inside = set(file.namelist())
    for folder in ("conf", "experiments"):
        shipped = {f"cellwise/{path.relative_to(ROOT)}" for path in (ROOT / folder).rglob("*.yaml")}
        assert shipped
        assert shipped <= inside
    package = ROOT / "src" / "cellwise"
    files = {f"cellwise/{path.relative_to(package)}" for path in package.rglob("*")
             if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    assert {"cellwise/py.typed", "cellwise/report/page.html.j2", "cellwise/report/page.css"} <= files
    assert files <= inside
    assert not [name for name in inside if name.startswith(("tests/", "runs/", "conf/"))]
    [licence] = [name for name in inside if name.endswith("LICENSE")]
    assert licence.startswith("cellwise-")


def test_it_lists_and_trains_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    (tmp_path / "work").mkdir()

    def typed(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONWARNINGS": "error"}
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path / "work", env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    # What is tested is the unpacked wheel, not the source tree of an editable install.
    assert typed("-c", "import cellwise; print(cellwise.__file__)").startswith(str(tmp_path / "site"))
    assert "peephole_lstm" in typed("-m", "cellwise.cli", "cells")
    assert "demo: " in typed("-m", "cellwise.cli", "study")
    found = typed("-c", "from hydra.core.plugins import Plugins; from hydra.plugins.launcher import Launcher; "
                  "print(*[f'{c.__name__} {__import__(c.__module__, fromlist=[0]).__file__}' "
                  "for c in Plugins.instance().discover(Launcher)], sep=chr(10))")  # fmt: skip
    assert f"CellwiseLauncher {tmp_path / 'site' / 'hydra_plugins' / 'cellwise_launcher' / 'launcher.py'}" in found
    out = typed("-m", "cellwise.cli", "train", "trainer=smoke", "trainer.threads=1", *SMALL)
    assert out.startswith("lstm seed 0: perplexity ")
    typed("-m", "cellwise.cli", "report", "runs/default")
    assert (tmp_path / "work" / "runs" / "default" / "report.html").stat().st_size > 100_000
