"""Every run's record for the page, each fact once: cards and the comparer are drawn from it when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cellwise.compare.groups import Group
from cellwise.records.identity import what_counts
from cellwise.records.plain import flat
from cellwise.records.schema import RunInfo, Summary
from cellwise.records.store import RunRecord, Study
from cellwise.report.traces import numbers


@dataclass(frozen=True)
class Listed:
    """One line of the table of runs."""

    run: RunRecord
    label: str
    at: str


def listed(study: Study, groups: Iterable[Group]) -> list[Listed]:
    """Return every run of a study with the label that it has in its comparison, and its folder within the study's."""
    labels = {run.path: group.label(run) for group in groups for run in group.runs}
    return [
        Listed(run, labels.get(run.path, f"{run.cell}-{run.identity}"), run.path.relative_to(study.path).as_posix())
        for run in study.runs
    ]


def run_records(study: Study, runs: Iterable[Listed], colours: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page knows of the runs, as JSON values.

    ``root`` is the study's folder; ``cells`` every label with its colour; ``configs`` the settings by dotted key of
    each configuration, ``facts`` what was the same for several runs (versions, commit, checksums, machine): a run
    holds their numbers. ``metrics`` names the columns of each run's list.
    """
    configs, facts, metrics = _Pool(), _Pool(), _Pool()
    by_identity: dict[tuple[str, str], int] = {}
    found = []
    for one in runs:
        run = one.run
        key = run.cell, run.identity
        if key not in by_identity:  # runs of one identity have the same settings: one file of each is read
            by_identity[key] = configs.number(dict(flat(what_counts(run.config))) if run.config else {})
        record: dict[str, Any] = {
            "at": one.at,
            "cell": one.label,
            "seed": run.seed,
            "status": run.status,
            "config": by_identity[key],
        }
        if run.error:
            record["error"] = run.error
        if run.info is not None:
            record["facts"] = facts.number(_facts(run.info))
            record |= _own(run.info)
        if run.summary is not None:
            record["result"] = _result(run.summary)
            record["metrics"] = _columns(run.summary.metrics, metrics)
        found.append(record)
    return {
        "root": str(study.path),
        "cells": [{"label": label, "colour": colour} for label, colour in colours.items()],
        "configs": configs.values,
        "facts": facts.values,
        "metrics": metrics.values,
        "runs": found,
    }


def _facts(info: RunInfo) -> dict[str, Any]:
    dirty = " with uncommitted changes" if info.git.dirty else ""
    known = {
        "commit": f"{info.git.commit}{dirty}" if info.git.commit else "none",
        "code (SHA-256)": info.code_sha256,
        "cell (SHA-256)": info.cell_sha256,
        "data (SHA-256)": ", ".join(f"{name} {checksum}" for name, checksum in info.data.items()) or "none",
        "versions": ", ".join(f"{name} {version}" for name, version in info.versions.items()),
        "device": info.device if info.devices == 1 else f"{info.device}, {info.devices} processes",
        "threads": info.threads,
        "engine": info.engine,
        "parameters": info.parameters.total if info.parameters else None,
        "recurrent parameters": info.parameters.recurrent if info.parameters else None,
        "FLOPs a step": info.flops_per_step,
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def _own(info: RunInfo) -> dict[str, Any]:
    known = {
        "command": info.command,
        "started": info.started,
        "ended": info.ended,
        "extended_from": info.extended_from,
        "times": {name: _number(value) for name, value in info.times_seconds.items()},
    }
    return {name: value for name, value in known.items() if value}


def _result(summary: Summary) -> dict[str, Any]:
    """What came out, by a name that tells what it is."""
    objective = summary.objective.replace("_", " ")
    unit = f" ({summary.unit})" if summary.unit and summary.unit != summary.objective else ""
    return {
        f"test {objective}{unit}": _number(summary.value),
        f"validation {objective}{unit}": _number(summary.validation),
        "checkpoint of step": summary.selected_step,
        "training (s)": _number(summary.train_seconds),
        f"throughput ({summary.throughput.unit})": _number(summary.throughput.value),
        "peak memory (MiB)": _number(summary.peak_memory_bytes / 2**20),
    }


def _columns(values: Mapping[str, float], names: _Pool) -> list[Any]:
    row: list[Any] = []
    for name, value in values.items():
        place = names.number(name)
        row += [None] * (place + 1 - len(row))
        row[place] = _number(value)
    return row


def _number(value: float) -> Any:
    return numbers([value])[0]


class _Pool:
    """Values that are kept once, each with its number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def number(self, value: Any) -> int:
        key = json.dumps(value, sort_keys=True, default=str)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(json.loads(json.dumps(value, default=str)))
        return self._places[key]
