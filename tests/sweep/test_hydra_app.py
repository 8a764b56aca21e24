"""cellwise as a plain Hydra application: other people's launchers and sweepers make the same records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cellwise.sweep.plan import plan

SWEEPER = """
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

class Telling(BasicSweeper):
    def sweep(self, arguments):
        for batch in super().sweep(arguments):
            print(*[job.return_value for job in batch])
"""


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cellwise.sweep.hydra_app", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=120)


def test_a_sweeper_drives_a_run_in_a_process_of_its_own_and_gets_its_validation_score(
    tiny_words: list[str], write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    plugin = tmp_path / "hydra_plugins" / "telling"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text("")
    (plugin / "sweeper.py").write_text(SWEEPER)
    words = [
        *tiny_words,
        f"cell_modules=[{write_cell('from_outside', '')}]",
        "cell=from_outside",
    ]  # the order of several: test_hydra_jobs.py
    done = run("-m", "hydra.sweeper._target_=hydra_plugins.telling.sweeper.Telling", "hydra/launcher=cellwise",
               *words, folder=tmp_path)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    [summary] = [json.loads((run.folder / "summary.json").read_text()) for run in plan(words)]
    assert summary["cell"] == "from_outside"
    assert done.stdout.splitlines()[-1] == str(summary["validation"])


def test_bad_input_is_one_line_and_no_traceback(tiny_words: list[str], tmp_path: Path) -> None:
    done = run(*tiny_words, "optim.learning_rate=-1", folder=tmp_path)
    assert done.returncode == 1
    assert "optim.learning_rate=-1.0 is too small; it must be 0 or more\n" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("cell_modules=nowhere.py", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("cellwise: ") and done.stderr.count("\n") == 1
