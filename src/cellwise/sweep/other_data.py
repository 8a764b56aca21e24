"""A finished run's configuration with other data, for `cellwise evaluate`: all that decided its weights stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cellwise.errors import CellwiseError, unknown
from cellwise.resources import resource_folder
from cellwise.sweep.compose import Config, parse_overrides
from cellwise.tasks import pin_data


def with_other_data(config: Mapping[str, Any], overrides: Sequence[str]) -> Config:
    """Return a configuration in which other data are evaluated.

    Args:
        config: of a run, as its record holds it.
        overrides: `data=NAME`, `data.<key>=...`, `data_dir=...`, `task.eval_<key>=...`.

    Raises:
        CellwiseError: an override of anything else, an unknown key or choice, data that can't be read.
    """
    changed = OmegaConf.create({str(key): value for key, value in config.items()})
    # A data set first: its keys are set in it, wherever they stand on the line.
    for override in sorted(parse_overrides(overrides), key=lambda override: override.key_or_group != "data"):
        if override.is_sweep_override():
            raise CellwiseError(f"{override.input_line} has several values; evaluate one at a time")
        key, value = override.key_or_group, override.value()
        if key == "data":
            changed.data = _data_set(override)
            continue
        _require_evaluation(override, config)
        group, _, name = key.partition(".")
        known = [str(each) for each in changed[group]] if name else []
        if name and name not in known:
            raise unknown(f"key in {group!r}", name, known)
        if key == "data.path" and "sha256" in changed.data:
            changed.data.sha256 = None  # of what lay at the other path
        OmegaConf.update(changed, key, value)
    try:
        missing = sorted(OmegaConf.missing_keys(changed))
        if missing:
            raise CellwiseError(f"{missing[0]} is not set; give {missing[0]}=...")
        plain = OmegaConf.to_container(changed, resolve=True)
    except OmegaConfBaseException as error:
        raise CellwiseError(" ".join(str(error).split())) from error
    assert isinstance(plain, dict)
    return pin_data({str(key): value for key, value in plain.items()})


def _data_set(override: Override) -> Any:
    folder, name = resource_folder("conf") / "data", str(override.value())
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise unknown("data", name, known)
    return OmegaConf.load(folder / f"{name}.yaml")


def _require_evaluation(override: Override, config: Mapping[str, Any]) -> None:
    key = override.key_or_group
    sizes = sorted(f"task.{name}" for name in config["task"] if name.startswith("eval_"))
    if key not in ("data_dir", *sizes) and not key.startswith("data."):
        raise CellwiseError(
            f"{override.input_line} would be another run; evaluation takes data=..., data.<key>=..., data_dir=..., "
            f"{', '.join(f'{size}=...' for size in sizes)}"
        )
