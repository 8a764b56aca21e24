"""A study: the runs that answer one question, as a file `study.yaml` in a folder of `experiments/` or of yours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cellwise.errors import CellwiseError, unknown
from cellwise.resources import resource_folder
from cellwise.sweep.compose import parse_overrides
from cellwise.sweep.phases import Phases, parse_phases

_KEYS = ("question", "overrides", "sweep", "tune", "confirm")
_PHASES = ("tune", "confirm")


@dataclass(frozen=True)
class StudyFile:
    """What a `study.yaml` says.

    Attributes:
        name: of its folder; its runs go to `<runs_dir>/<name>/`.
        question: what the study answers.
        overrides: `key=value`, the same for all runs.
        sweep: key to the values that are combined.
        phases: how settings are tuned, and the seeds that confirm them; None: all runs are given by `sweep`.
    """

    name: str
    question: str
    overrides: list[str]
    sweep: Mapping[str, list[Any]]
    phases: Phases | None = None


class _Loader(yaml.SafeLoader):
    """Reads 1e-6 as a number, as YAML 1.2 and everybody who writes a learning rate does; PyYAML's own wants 1.0e-6."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def study_names() -> list[str]:
    """Return the studies of `experiments/`, sorted."""
    return sorted(path.parent.name for path in resource_folder("experiments").glob("*/study.yaml"))


def is_of_phases(word: str) -> bool:
    """Whether an override is one of a study's phases (`tune.trials=8`), not of the configuration."""
    return word.startswith(tuple(f"{phase}." for phase in _PHASES))


def load_study_file(name: str, words: Sequence[str] = ()) -> StudyFile:
    """Return a study by its name in `experiments/`, or by the path of its folder or file.

    Args:
        name: of the study, or a path.
        words: overrides of its phases, for example `tune.trials=8` or `confirm.seeds=[10,11]`.

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
    return _read(path, words)


def _read(path: Path, words: Sequence[str]) -> StudyFile:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
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
    _override_phases(content, words, path)
    phases = parse_phases(content, str(path))
    return StudyFile(path.resolve().parent.name, str(content.get("question", "")), overrides, sweep, phases)


def _override_phases(content: dict[str, Any], words: Sequence[str], path: Path) -> None:
    """Put `tune.trials=8` and the like into what a file says."""
    for override in parse_overrides(words):
        phase, _, key = override.key_or_group.partition(".")
        if not isinstance(content.get(phase), dict):
            raise CellwiseError(f"{override.input_line}: {path} tunes nothing; leave it out, or give the study {phase}")
        if override.is_sweep_override():
            raise CellwiseError(f"{override.input_line}: give one value, a list in brackets: {phase}.{key}=[...]")
        group = content[phase]
        if key.startswith("space."):
            group, key = group.setdefault("space", {}), key.removeprefix("space.")
        group[key] = override.value()
