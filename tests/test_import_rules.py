"""The rules of the house on who may import what: read from every file, and seen in a fresh interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cellwise

PACKAGE = Path(cellwise.__file__).parent
FILES = {str(path.relative_to(PACKAGE)): path for path in PACKAGE.rglob("*.py")}
MODULES = sorted(
    "cellwise." + name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    for name in FILES
    if name != "__init__.py"
)
LIGHTNING = {"pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities"}
HYDRA = {"hydra", "omegaconf"}


def imported(source: str, name: str) -> set[str]:
    """Full names of what a file imports anywhere, at its top or inside a function, but not for type checking alone."""
    return set(_imported(ast.parse(source), ("cellwise", *Path(name).parent.parts)))


def _imported(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            base = package[: len(package) + 1 - part.level] if part.level else ()
            module = ".".join([*base, *([part.module] if part.module else [])])
            yield from (f"{module}.{alias.name}" for alias in part.names)
        elif isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING":
            yield from (name for other in part.orelse for name in _imported(ast.Module([other], []), package))
        else:
            yield from _imported(part, package)


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


IMPORTS = {name: imported(path.read_text(encoding="utf-8"), name) for name, path in FILES.items()}


def breaking(places: Callable[[str], bool], forbidden: Callable[[str], bool]) -> list[str]:
    """`file: import` for each import that a rule forbids in the files that it is for."""
    return sorted(
        f"{name}: {what}" for name, whats in IMPORTS.items() if places(name) for what in whats if forbidden(what)
    )


def inside(*places: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(places)


def test_the_reader_of_imports_sees_them_all() -> None:
    source = (
        "import torch.nn as nn\nfrom os import path\nfrom . import maps\nfrom ..cells.gru import GRU\n"
        "def f():\n    try:\n        import hydra\n    finally:\n        pass\n"
        "if TYPE_CHECKING:\n    import pandas\nelse:\n    import json\n"
    )
    assert imported(source, "recurrent/layer.py") == {
        *("torch.nn", "os.path", "cellwise.recurrent.maps", "cellwise.cells.gru.GRU", "hydra", "json")
    }


def test_cells_recurrent_and_network_import_torch_alone_of_third_parties() -> None:
    allowed = sys.stdlib_module_names | {"torch", "cellwise", "__future__"}
    assert breaking(inside("cells/", "recurrent/", "network/"), lambda what: what.split(".")[0] not in allowed) == []


def test_cells_know_nothing_of_layers_and_layers_nothing_of_what_comes_after() -> None:
    """conf -> cell -> recurrent layer -> task -> training -> record -> comparison -> report: never back."""

    def ours_but(*rooms: str) -> Callable[[str], bool]:
        allowed = tuple(f"cellwise.{room}" for room in rooms)
        return lambda what: what.startswith("cellwise.") and not what.startswith(allowed)

    assert breaking(inside("cells/"), ours_but("cells", "errors")) == []
    assert breaking(inside("recurrent/"), ours_but("recurrent", "cells", "errors", "settings")) == []
    rooms = ("network", "recurrent", "cells", "errors", "settings")
    assert breaking(inside("network/"), ours_but(*rooms)) == []
    assert breaking(inside("compare/"), ours_but("compare", "records", "errors", "settings")) == []
    assert (
        breaking(
            inside("report/"),
            ours_but("report", "compare", "records", "cells", "budget", "errors", "files", "settings"),
        )
        == []
    )
    assert breaking(inside("data/"), ours_but("data", "errors", "files")) == []


def test_comparison_report_and_records_import_no_torch_lightning_hydra_or_pandas() -> None:
    forbidden = {"torch", "torchmetrics", "pandas", *LIGHTNING, *HYDRA}
    rooms = inside("compare/", "report/", "records/")
    assert breaking(rooms, lambda what: what.split(".")[0] in forbidden) == []


def test_each_mirror_is_imported_by_who_asks_for_it_alone() -> None:
    """What W&B and TensorBoard need is in the files of theirs, which only the function that opens them imports."""

    def elsewhere(package: str, place: str) -> list[str]:
        return breaking(lambda name: not name.startswith(place), lambda what: what.split(".")[0] == package)

    assert elsewhere("wandb", "records/mirrors/wandb") == elsewhere("tensorboard", "records/mirrors/tensorboard") == []
    pictures = inside("records/mirrors/", "tasks/vqa/image_files.py")  # and who reads the user's own pictures
    assert breaking(lambda name: not pictures(name), lambda what: what.split(".")[0] == "PIL") == []
    assert not loaded("import cellwise.records.mirrors.attach") & {"wandb", "tensorboard", "PIL", "plotly", "torch"}
    assert not loaded("import cellwise.records.mirrors.tensorboard") & {"wandb", "tensorflow", "plotly", "torch"}


def test_comparison_imports_numpy_and_scipy_alone_of_third_parties() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "scipy", "cellwise", "__future__"}
    assert breaking(inside("compare/"), lambda what: what.split(".")[0] not in allowed) == []


def test_lightning_lives_in_training_tasks_probes_and_the_bench_of_it() -> None:
    rooms = inside("training/", "tasks/", "probes/", "bench/trainer.py")
    assert breaking(lambda name: not rooms(name), lambda what: what.split(".")[0] in LIGHTNING) == []
    assert breaking(lambda name: True, lambda what: what.split(".")[0] == "lightning") == []  # its name is forbidden


def test_hydra_lives_in_the_command_line_and_the_sweep() -> None:
    rooms = inside("sweep/", "cli.py")
    assert breaking(lambda name: not rooms(name), lambda what: what.split(".")[0] in HYDRA) == []


def test_optuna_lives_in_the_ledger_the_samplers_and_importance_of_a_search() -> None:
    """A grid, a plan and every report do without; hydra-optuna-sweeper is none of ours."""
    rooms = inside("sweep/journal.py", "sweep/samplers.py", "sweep/importance.py")
    assert breaking(lambda name: not rooms(name), lambda what: what.split(".")[0] in {"optuna", "sklearn"}) == []


def test_nothing_imports_the_command_line() -> None:
    def is_cli(what: str) -> bool:
        return what == "cellwise.cli" or what.startswith("cellwise.cli.")

    assert breaking(lambda name: name != "cli.py", is_cli) == []


def foreign(name: str, whats: set[str], tasks: set[str]) -> list[str]:
    """What a file of one task imports of the others."""
    own = name.split("/")[1]
    return sorted(what for what in whats if what.startswith("cellwise.tasks.") and what.split(".")[2] in tasks - {own})


def test_a_task_never_imports_another_task() -> None:
    tasks = {name.split("/")[1] for name in FILES if name.startswith("tasks/") and name.count("/") > 1}
    assert "language" in tasks
    assert foreign("tasks/vqa/task.py", {"cellwise.tasks.language.metrics"}, {*tasks, "vqa"})
    for name in FILES:
        if name.startswith("tasks/") and name.count("/") > 1:
            assert foreign(name, IMPORTS[name], tasks) == []


def test_no_module_is_a_drawer() -> None:
    parts = {part for name in MODULES for part in name.split(".")}
    assert not parts & {"utils", "util", "helpers", "helper", "common", "misc"}


def run_python(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True, cwd=cwd
    )


# Code is compiled once; it is run again for each.
EACH_ALONE = """
import functools, importlib, sys
from importlib.machinery import SourceFileLoader
SourceFileLoader.get_code = functools.cache(SourceFileLoader.get_code)
for name in sys.argv[1:]:
    for other in [m for m in sys.modules if m == "cellwise" or m.startswith("cellwise.")]:
        del sys.modules[other]
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")
"""


def test_every_module_can_be_imported_on_its_own() -> None:
    """Whichever comes first, nothing goes in a circle; the same interpreter, but none of ours loaded before."""
    assert len(MODULES) > 50
    done = run_python(EACH_ALONE, *MODULES)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


LOADED = """
import sys
{code}
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""


def loaded(code: str, cwd: Path | None = None) -> set[str]:
    """The top-level modules that are loaded after some code."""
    done = run_python(LOADED.format(code=code), cwd=cwd)
    assert (done.stderr, done.returncode) == ("", 0)
    return set(done.stdout.splitlines()[-1].split())


def loaded_after(each: Sequence[str], cwd: Path | None = None) -> list[set[str]]:
    """The top-level modules that are loaded after each of some statements, one after the other in one interpreter."""
    told = 'print("loaded", *sorted({name.split(".")[0] for name in sys.modules}))\n'
    done = run_python("import sys\n" + "".join(f"{code}\n{told}" for code in each), cwd=cwd)
    assert done.returncode == 0, done.stderr
    found = [set(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("loaded ")]
    assert len(found) == len(each) and all("cellwise" in names for names in found)
    return found


def test_what_needs_no_torch_loads_none() -> None:
    heavy = {"torch", "torchmetrics", "wandb", "optuna", *LIGHTNING}
    without_hydra = [
        "import cellwise; cellwise.cell_names(); cellwise.cell_info('lstm'); cellwise.register_cell; cellwise.Cell",
        "import cellwise.records.store, cellwise.records.schema, cellwise.records.writer, cellwise.records.identity",
        "import cellwise.compare.table, cellwise.report.page, cellwise.report.terminal.table",
        "import cellwise.report.live.watch",
        "import cellwise.bench.parts, cellwise.records.bench, cellwise.report.bench",
        "import cellwise.tasks, cellwise.data.get, cellwise.tasks.language.settings, cellwise.training.settings",
        "import cellwise.network.settings",
    ]
    with_hydra = [
        "from cellwise.sweep.plan import plan; plan(['cell=gru,lstm', 'seed=0,1'])",
        "from cellwise.sweep.study import load_study_file as load; from cellwise.sweep.tuning import Tuning; "
        "from cellwise.sweep.plan import plan; Tuning(load('greff'), ['cell=gru,lstm'])",
        "import cellwise.sweep.plan, cellwise.sweep.cluster, submitit",
    ]
    for code, names in zip(without_hydra, loaded_after(without_hydra), strict=True):
        assert not names & (heavy | HYDRA), code
    for code, names in zip(with_hydra, loaded_after(with_hydra), strict=True):
        assert not names & heavy, code


def test_every_command_but_train_and_check_imports_no_torch(make_study: Callable[..., Path], tmp_path: Path) -> None:
    commands = [
        ["--help"],
        ["train", "--help"],
        ["cells"],
        ["cells", "peephole_lstm"],
        ["study"],
        ["report", "made_up"],
        ["data", "list"],
        ["score", "vqa", "--results", "r.json", "--annotations", "a.json"],
        ["train", "cell=lstmm"],
        ["train", "seed=1,2"],
    ]
    make_study("made_up", 2, ("lstm", "gru"))
    typed = [
        "from cellwise.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as end:\n    assert end.code in (0, 2), end.code"
        for words in commands
    ]
    for words, names in zip(commands, loaded_after(typed, cwd=tmp_path / "runs"), strict=True):
        assert not names & {"torch", "torchmetrics", "wandb", *LIGHTNING}, words


def test_what_serves_the_live_page_is_imported_for_it_alone() -> None:
    assert not loaded("import cellwise.cli, cellwise.report.page, cellwise.records.follow") & {"starlette", "uvicorn"}


def test_a_sweep_imports_torch_in_its_children_alone(tiny_words: list[str], tmp_path: Path) -> None:
    """The process with the bar stays light; what is trained lives in others."""
    script = tmp_path / "sweep.py"
    script.write_text(
        "import sys\n"
        "from cellwise.sweep.plan import plan\n"
        "from cellwise.sweep.pool import execute\n"
        "from cellwise.sweep.source import PlanSource\n"
        "if __name__ == '__main__':\n"
        f"    runs = plan({tiny_words!r})\n"
        "    [result] = execute(PlanSource(runs), runs.launcher, finished=lambda result: None)\n"
        "    assert result.status == 'finished', result\n"
        "    assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, cwd=tmp_path)
