"""A study: the runs that answer one question, as a file `study.yaml` in a folder of `experiments/` or of yours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cellwise.errors import CellwiseError, unknown
from cellwise.resources import resource_folder

_KEYS = ("question", "overrides", "sweep")


@dataclass(frozen=True)
class StudyFile:
    """What a `study.yaml` says.

    Attributes:
        name: of its folder; its runs go to `<runs_dir>/<name>/`.
        question: what the study answers.
        overrides: `key=value`, the same for all runs.
        sweep: key to the values that are combined.
    """

    name: str
    question: str
    overrides: list[str]
    sweep: Mapping[str, list[Any]]


def study_names() -> list[str]:
    """Return the studies of `experiments/`, sorted."""
    return sorted(path.parent.name for path in resource_folder("experiments").glob("*/study.yaml"))


def load_study_file(name: str) -> StudyFile:
    """Return a study by its name in `experiments/`, or by the path of its folder or file.

    Raises:
        CellwiseError: no such study, or a file that is not one.
    """
    path = Path(name)
    if path.is_dir():
        path = path / "study.yaml"
    if not path.is_file():
        path = resource_folder("experiments") / name / "study.yaml"
    if "/" in name and not path.is_file():
        raise CellwiseError(
            f"no study in {name!r}; give a folder that holds study.yaml, or one of {', '.join(study_names())}"
        )
    if not path.is_file():
        raise unknown("study", name, study_names(), "or give the path of a folder that holds study.yaml")
    return _read(path)


def _read(path: Path) -> StudyFile:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CellwiseError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise CellwiseError(f"{path}: must hold the keys {', '.join(_KEYS)}")
    for key in content:
        if key not in _KEYS:
            raise unknown(f"key in {path}", str(key), _KEYS)
    overrides, sweep = content.get("overrides") or [], content.get("sweep") or {}
    if not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
        raise CellwiseError(f"{path}: overrides must be a list of key=value, for example [task=language, optim=adam]")
    if not isinstance(sweep, dict) or not all(isinstance(values, list) and values for values in sweep.values()):
        raise CellwiseError(f"{path}: sweep must map keys to lists of values, for example cell: [lstm, gru]")
    return StudyFile(path.resolve().parent.name, str(content.get("question", "")), overrides, sweep)
