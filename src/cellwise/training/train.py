"""From a configuration to a run record: one training of one configuration with one seed."""

from __future__ import annotations

import dataclasses
import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cellwise.budget import Budget
from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, import_cells
from cellwise.errors import CellwiseError
from cellwise.machine import cores
from cellwise.probes.probe import Probe
from cellwise.records.finished import finished_note, is_finished
from cellwise.records.identity import run_folder
from cellwise.records.lease import Lease, take_lease
from cellwise.records.mirrors.attach import attach, require_loggers
from cellwise.records.mirrors.contract import Mirrored
from cellwise.records.schema import Parameters, RunInfo, Summary, Throughput
from cellwise.records.writer import RunWriter
from cellwise.tasks import build_task, recurrent_shapes
from cellwise.tasks.contract import Task
from cellwise.tasks.objective import Objective
from cellwise.training.fit import batches, build_module, build_network, fit, take_part
from cellwise.training.info import info_now
from cellwise.training.module import TrainingModule
from cellwise.training.processes import all_ranks
from cellwise.training.ranks import Ranks
from cellwise.training.recorded import record_refusal, recorded
from cellwise.training.resume import Start, find_cut_off, find_end
from cellwise.training.settings import RunSettings, TrainerSettings, read
from cellwise.training.stopping import Stop, stop_signals
from cellwise.training.tally import Row

Progress = Callable[[float, Row], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a call of `train`.

    Attributes:
        folder: the run's folder.
        note: one line for the user: finished, or skipped and why.
        skipped: whether a finished record was found.
    """

    folder: Path
    note: str
    skipped: bool


def train(
    config: Mapping[str, Any],
    *,
    progress: Progress | None = None,
    own_process: bool = False,
    threads: int | None = None,
    extends: Path | None = None,
) -> Outcome:
    """Train one configuration with one seed; skip it if its record is finished, go on where it was cut off.

    Args:
        config: resolved and plain.
        progress: called with the share done, 0 to 1, and each row that is logged.
        own_process: this process does nothing else, so all that it prints goes to the run's log.
        threads: this run's share of the cores, where the configuration gives no number; None: all of them.
        extends: a finished run of the same configuration with fewer epochs or steps, to go on from where that ended.

    Raises:
        CellwiseError: a bad setting (nothing is written), or a run that failed (its record says so).
        StoppedError: a KeyboardInterrupt that says which signal it was, if one; the same call goes on.
    """
    import_cells(config.get("cell_modules") or [])
    settings = read(config)
    folder = run_folder(config)
    if is_finished(folder) and not settings.again:
        return Outcome(folder, finished_note(folder, settings.probe), skipped=True)
    _require_devices(settings.trainer)
    require_loggers(settings.loggers)
    started = time.perf_counter()
    threads = settings.trainer.threads or max(1, (threads or cores()) // settings.trainer.devices)
    try:
        task = build_task(config["task"]["name"], settings.task)
    except CellwiseError as error:
        if own_process:  # of a study, whose folder says what became of its runs
            record_refusal(folder, info_now(config, settings, {}, threads), config, error)
        raise
    examples = task.loader("train")
    settings.optim.require_room(settings.trainer.steps_in_all(len(examples)))
    if settings.trainer.devices > 1:
        examples.share(0, settings.trainer.devices)  # refuses what can't be shared
    with take_lease(folder) as lease:
        if is_finished(folder) and not settings.again:  # by another process, since the first look
            return Outcome(folder, finished_note(folder, settings.probe), skipped=True)
        info = info_now(config, settings, task.checksums, threads)
        start = None if settings.again else _start(folder, settings, info, extends)
        return _make(config, settings, task, info, start, lease, started, progress, own_process=own_process)


def _start(folder: Path, settings: RunSettings, info: RunInfo, extends: Path | None) -> Start | None:
    cut_off = find_cut_off(folder, info, threads_are_given=bool(settings.trainer.threads))
    return find_end(extends, info, settings.trainer) if cut_off is None and extends is not None else cut_off


def _make(
    config: Mapping[str, Any],
    settings: RunSettings,
    task: Task,
    info: RunInfo,
    start: Start | None,
    lease: Lease,
    started: float,
    progress: Progress | None,
    *,
    own_process: bool,
) -> Outcome:
    """Train, from the beginning or from where an earlier start or a shorter run ended, and write the record."""
    folder = run_folder(config)
    if start is not None:
        info = dataclasses.replace(
            info, threads=start.threads, started=start.started, extended_from=start.extended_from
        )
    torch.set_num_threads(info.threads)
    record = RunWriter(folder, info, config, start.rows if start is not None else None, lease)
    if own_process:
        record.capture_output()
    if start is not None:
        record.note(f"goes on from {start.checkpoint.name}")
    else:
        for line in task.remarks:
            record.note(f"data: {line}")
    with stop_signals() as stop, recorded(record, stop):
        of, on, log = settings.trainer.devices, settings.trainer.accelerator, folder / "log.txt"
        with all_ranks(of, on, log, take_part, config, info.threads, start) as ranks:
            module = _built(config, settings, task, record, progress, stop, ranks, start)
            setup_seconds = time.perf_counter() - started
            probe = Probe(settings.probe, task, module.network, record.note)
            trainer = fit(settings, module, folder, start, probe)
        fitted = time.perf_counter()
        module.selection.restore(module.network)
        trainer.test(module, batches(task, "test", settings), verbose=False)
        with torch.inference_mode():
            for view in [*task.views(module.network.eval()), *probe.views()]:
                record.view(view)
        times = {
            "setup": setup_seconds,
            "train": fitted - started - setup_seconds,
            "test": time.perf_counter() - fitted,
        }
        if probe.level != "off":
            times |= {"train": times["train"] - probe.seconds, "probe": probe.seconds}
        record.update(times_seconds={name: round(seconds, 3) for name, seconds in times.items()})
        summary = _summary(settings, task, module, record.info)
        record.finish(summary)
        if module.checkpoints is not None:
            module.checkpoints.keep_last(module.steps_in_all)
    return Outcome(folder, _finished_note(task.objective, summary), skipped=False)


def _require_devices(trainer: TrainerSettings) -> None:
    """Refuse GPUs that are not there."""
    if trainer.accelerator == "gpu" and (seen := torch.cuda.device_count()) < trainer.devices:
        raise CellwiseError(
            f"trainer.devices={trainer.devices}, but torch sees {seen} GPUs here; type trainer.devices={seen}"
            if seen
            else "trainer.accelerator=gpu, but torch sees no GPU here; type trainer=cpu"
        )


def _built(
    config: Mapping[str, Any],
    settings: RunSettings,
    task: Task,
    record: RunWriter,
    progress: Progress | None,
    stop: Stop,
    ranks: Ranks,
    start: Start | None,
) -> TrainingModule:
    """Build the network and what trains it; complete `run.json`."""
    cell = build_cell(settings.cell, settings.cell_options)
    network = build_network(settings, task, start)
    layers = task.recurrent_layers(network)
    record.update(
        engine=", ".join(sorted({layer.engine for layer in layers})),
        parameters=Parameters(_count([network]), _count(layers)),
        flops_per_step=_flops_per_step(cell, config),
    )
    attach(record, settings.loggers, Mirrored(record.folder, record.info, config, task.objective, record.logged() > 0))

    def report(row: Row) -> None:
        record.log(row)
        if progress is not None:
            progress(1.0 if module.patience.is_lost() else min(row["step"] / module.steps_in_all, 1.0), row)

    told: dict[str, Any] = {"report": report, "logged": record.logged, "note": record.note, "stop": stop}
    module = build_module(settings, task, network, ranks, folder=record.folder, **told)
    measured = {"objective": task.objective.metric, "direction": task.objective.direction, "unit": task.objective.unit}
    record.update(steps=module.steps_in_all, **measured)
    return module


def _finished_note(objective: Objective, summary: Summary) -> str:
    note = f"{objective.metric} {summary.value:.5g} {objective.unit}".rstrip()
    return note if math.isfinite(summary.value) else f"{note}; diverged: not a finite number"


def _summary(settings: RunSettings, task: Task, module: TrainingModule, info: RunInfo) -> Summary:
    assert info.parameters is not None and info.flops_per_step is not None
    return Summary(
        task=task.name,
        cell=info.cell,
        seed=settings.seed,
        objective=task.objective.metric,
        direction=task.objective.direction,
        unit=task.objective.unit,
        value=module.test_scores[task.objective.metric],
        validation=module.selection.value,
        floors=task.floors(),
        optimum=task.optimum(),
        metrics=module.test_scores,
        parameters=info.parameters,
        flops_per_step=info.flops_per_step,
        train_seconds=round(module.train_seconds, 3),
        throughput=Throughput(module.examples / max(module.train_seconds, 1e-9), f"{task.examples}/s"),
        peak_memory_bytes=_peak_memory_bytes(settings.trainer),
        selected_step=module.selection.step,
    )


def _flops_per_step(cell: Cell, config: Mapping[str, Any]) -> int:
    hidden_size = config["network"]["hidden_size"]
    return Budget("flops", 1).cost(cell, recurrent_shapes(config, hidden_size), hidden_size)


def _count(modules: Any) -> int:
    return sum(p.numel() for module in modules for p in module.parameters() if p.requires_grad)


def _peak_memory_bytes(trainer: TrainerSettings) -> int:
    if trainer.accelerator == "gpu":
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts KiB
