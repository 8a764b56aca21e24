"""`budget=params:100k` sizes each cell's network by itself; the resolved configuration says to what."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cellwise.budget import parse_budget
from cellwise.cells.registry import build_cell, cell_info, cell_names
from cellwise.errors import CellwiseError
from cellwise.records.identity import identity
from cellwise.records.store import load_study
from cellwise.report.results import write_results
from cellwise.sweep.compose import compose_config
from cellwise.sweep.plan import plan
from cellwise.tasks import TASKS, build_task, read_task, recurrent_shapes
from cellwise.training.settings import read
from cellwise.training.train import train

BUILT_IN = [name for name in cell_names() if cell_info(name).factory.__module__.startswith("cellwise.cells.")]


def cost(config: dict[str, Any]) -> int:
    """What the recurrent layers of a configuration cost, in the kind of its budget."""
    options = {key: value for key, value in config["cell"].items() if key != "name"}
    size = config["network"]["hidden_size"]
    cell = build_cell(config["cell"]["name"], options)
    return parse_budget(config["budget"]).cost(cell, recurrent_shapes(config, size), size)


def test_every_cell_comes_within_a_few_per_cent_of_the_budget() -> None:
    """Every other one of a budget of parameters or of FLOPs; what a cell costs in both is proven in test_budget.py."""
    budgets = (("language", "params:100k"), ("memory", "flops:2.5M"))
    for number, name in enumerate(BUILT_IN):
        task, budget = budgets[number % 2]
        config = compose_config([f"task={task}", f"cell={name}", f"budget={budget}"])
        assert config["budget"] == str(parse_budget(budget))
        assert cost(config) == pytest.approx(parse_budget(budget).amount, rel=0.02)
        read(config)


def test_sizing_imports_no_torch() -> None:
    code = (
        "import sys; from cellwise.sweep.plan import plan; "
        "plan(['cell=rnn,gru', 'budget=params:1k']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_sweep_sizes_each_cell_by_itself_and_says_to_what() -> None:
    runs = plan(["cell=rnn,lstm,gru", "budget=params:100k", "seed=0,1"])
    sizes = {run.config["cell"]["name"]: run.config["network"]["hidden_size"] for run in runs}
    # 2 h^2 + h, 8 h^2 + 4 h, and 6 h^2 + 4 h, an embedding as wide as the layer
    assert sizes == {"rnn": 223, "lstm": 112, "gru": 129}
    assert len({run.folder.parent for run in runs}) == 3


def test_a_budget_may_be_swept() -> None:
    runs = plan(["cell=lstm", "budget=params:1k,params:2k,null"])
    assert [run.config["network"]["hidden_size"] for run in runs] == [11, 16, 128]
    assert [run.config["budget"] for run in runs] == ["params:1000", "params:2000", None]


@pytest.mark.parametrize(
    ("overrides", "embedding_size"),
    [
        ([], None),
        (["network.tied=true"], None),
        (["network.tied=true", "network.embedding_size=${network.hidden_size}"], 129),
        (["network.embedding_size=40", "network.num_layers=2"], 40),
    ],
)
def test_what_follows_the_hidden_size_follows_the_one_found(overrides: list[str], embedding_size: int | None) -> None:
    config = compose_config(["cell=gru", "budget=params:100k", *overrides])
    assert config["network"]["embedding_size"] == embedding_size
    assert cost(config) == pytest.approx(100_000, rel=0.02)
    read(config)


@pytest.mark.parametrize(
    ("overrides", "size"), [([], 157), (["network.transformer_layers=1"], 156), (["network.bidirectional=true"], 110)]
)
def test_the_heads_of_a_transformer_encoder_divide_the_size_that_a_budget_finds(
    overrides: list[str], size: int
) -> None:
    config = compose_config(["task=memory", "cell=lstm", "budget=params:100k", *overrides])
    assert config["network"]["hidden_size"] == size
    read(config)


def test_heads_that_divide_no_size_near_are_still_met_in_both_directions() -> None:
    told = ["task=memory", "cell=gru", "budget=params:50k", "network.transformer_layers=1"]
    one = compose_config([*told, "network.transformer_heads=14"])
    both = compose_config([*told, "network.transformer_heads=14", "network.bidirectional=true"])
    assert one["network"]["hidden_size"] % 14 == 0
    assert both["network"]["hidden_size"] % 14 == 7
    for config in (one, both):
        train_settings = read(config)
        build_task("memory", train_settings.task).network(build_cell("gru"), "reference")


def test_a_hidden_size_that_heads_do_not_divide_is_refused_without_torch() -> None:
    code = (
        "import sys\nfrom cellwise.sweep.plan import plan\nfrom cellwise.errors import CellwiseError\n"
        "from cellwise.training.settings import read\n"
        "try: read(plan(['task=memory', 'network.hidden_size=50', 'network.transformer_layers=1'])[0].config)\n"
        "except CellwiseError as error: print(error, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "network.transformer_heads=4 does not divide the 50 units of the recurrent layer (network.hidden_size=50); "
        "give network.hidden_size=48 or 52, or network.transformer_heads=1 or 2 or 5 or 10 False\n"
    )


def test_cell_options_count() -> None:
    sizes = [
        compose_config(["cell=coupled_lstm", f"cell.peepholes={on}", "budget=params:470"])["network"]["hidden_size"]
        for on in ("false", "true")
    ]
    assert sizes == [9, 8]


@pytest.mark.parametrize(
    "given",
    [
        ["network.hidden_size=64"],
        ["network={hidden_size: 64}"],
        ["network.hidden_size=null", "network.hidden_size=64"],
    ],
)
def test_a_hidden_size_beside_a_budget_is_refused(given: list[str]) -> None:
    with pytest.raises(CellwiseError) as caught:
        compose_config(["budget=params:100k", *given])
    assert str(caught.value) == (
        f"{given[-1]} and a budget contradict each other: a budget finds the hidden size; give one of them "
        "(budget=null, or network.hidden_size=null, takes away what a study gives)"
    )


def test_either_takes_away_what_a_study_gives() -> None:
    sized = compose_config(["network.hidden_size=64", "budget=params:1k", "network.hidden_size=null"])
    assert sized["network"]["hidden_size"] == 11
    plain = compose_config(["budget=params:1k", "network.hidden_size=64", "budget=null"])
    assert plain["network"]["hidden_size"] == 64


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["budget=100k"], "budget=100k is no budget; type params:<number> or flops:<number>, with "),
        (["budget=params:9"], "budget=params:9 is too small for LSTM: one unit costs 12 already; "),
        (["budget=params:1k", "network.num_layers=0"], "network.num_layers=0 is too small; it must be 1 or more"),
        (["budget=params:1k", "cell=gru", "cell.reset=never"], "cell.reset=never is not an option of 'gru'; allowed: "),
    ],
)
def test_a_budget_that_means_no_size_is_refused_in_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        compose_config(overrides)
    assert str(caught.value).startswith(said)


def test_a_network_that_can_not_follow_says_what_would() -> None:
    config = compose_config(["budget=params:1k", "network.tied=true", "network.embedding_size=7"])
    with pytest.raises(CellwiseError, match=r"needs network.embedding_size=12 .* null is always the hidden size"):
        read(config)


def test_no_budget_leaves_the_identity_of_older_records() -> None:
    config = compose_config([])
    older = {key: value for key, value in config.items() if key != "budget"}
    assert identity(config) == identity(older) != identity({**config, "budget": "params:1000"})


def test_two_ways_to_type_a_budget_are_one_run() -> None:
    [one], [other] = plan(["budget=params:2k"]), plan(["budget=params:2000"])
    assert one.folder == other.folder


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("layers", [1, 2])
def test_the_shapes_that_a_task_tells_are_those_of_its_network(task: str, layers: int, tmp_path: Path) -> None:
    """Counted at a hidden size that the configuration does not have, as the search does."""
    config = compose_config([f"task={task}", "network.hidden_size=4", f"network.num_layers={layers}"])
    for key in ("train_tokens", "valid_tokens", "test_tokens"):
        if key in config["data"]:
            config["data"][key] = 3000
    told = recurrent_shapes(config, 6)
    problem = build_task(task, read_task({**config, "network": {**config["network"], "hidden_size": 6}}))
    cell = build_cell("lstm")
    with torch.device("meta"):
        stacks = problem.recurrent_layers(problem.network(cell, "reference"))
    assert len(told) == len(stacks)
    for shape, stack in zip(told, stacks, strict=True):
        found = (stack.input_size, stack.num_layers, stack.directions, stack.options.bias)
        assert found == (shape.input_size, shape.num_layers, shape.directions, shape.bias)
        assert parse_budget("params:1").cost(cell, [shape], 6) == sum(p.numel() for p in stack.parameters())


def test_a_run_records_its_budget_its_size_and_its_recurrent_parameters(
    tiny: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    for cell, size, parameters in (("lstm", 8, 544), ("gru", 9, 522)):
        config = tiny(f"cell={cell}", "budget=params:500", "network.hidden_size=null")
        assert config["network"]["hidden_size"] == size
        assert train(config).folder.exists()
        assert cost(config) == parameters
    study = load_study(tmp_path / "runs" / "default")
    counts = {run.cell: run.summary.parameters.recurrent for run in study.runs if run.summary}
    assert counts == {"lstm": 544, "gru": 522}
    assert {run.config["budget"] for run in study.runs} == {"params:500"}
    rows = write_results(study, tmp_path / "results.csv").read_text()
    assert ",544," in rows and ",522," in rows
