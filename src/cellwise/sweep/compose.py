"""Hydra: overrides to one resolved, plain configuration; its errors told in one line.

The compose API only: no Hydra output folders, no change of the working folder, no logging configuration, and the
same from any folder. Cells from outside enter the ConfigStore when their module is imported, so they need no YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cellwise.budget import parse_budget
from cellwise.cells.registry import cell_info, cell_names, import_cells
from cellwise.errors import CellwiseError, unknown
from cellwise.resources import resource_folder
from cellwise.sweep.sizing import KEY, hidden_size_in, refuse_two_sizes

Config = dict[str, Any]
_SEVERAL = ("logger",)  # of these groups a run may have several files: a list in the defaults of conf/config.yaml


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Return the parsed overrides, in Hydra's grammar.

    Raises:
        CellwiseError: a word that is no override.
    """
    parser = OverridesParser.create()
    for text in overrides:
        try:
            parser.parse_override(text)
        except HydraException as error:
            raise CellwiseError(
                f"can't read {text!r}; an override is key=value, for example cell=gru seed=1, and a value with blanks "
                "or special characters is quoted twice: \"data.path='my text (1).txt'\""
            ) from error
    parsed: list[Override] = parser.parse_overrides(list(overrides))
    for override in parsed:
        _require_plain(override)
    return parsed


def _require_plain(override: Override) -> None:
    """Refuse what only changes a vocabulary that is complete, and what Hydra trips over without a word to the user."""
    group = override.key_or_group
    if override.type != OverrideType.CHANGE or override.package is not None or not group:
        raise CellwiseError(
            f"can't read {override.input_line!r}; conf/ has every key, so an override is key=value without '+', '~' "
            "or '@', for example cell=gru seed=1"
        )
    if group.split(".")[0] == "hydra":
        raise CellwiseError(f"{override.input_line} has no effect: Hydra only composes here; runs go to runs_dir=...")
    choices = _files(group)
    if choices and not override.is_sweep_override() and not _is_choice(group, override.value()):
        raise CellwiseError(f"{override.input_line} is no choice; {group} is one of: {', '.join(choices)}")


def _is_choice(group: str, value: Any) -> bool:
    several = group in _SEVERAL and isinstance(value, list) and bool(value)
    return isinstance(value, str | dict) or (several and all(isinstance(each, str) for each in value))


def compose_config(overrides: Sequence[str]) -> Config:
    """Return the resolved configuration of one run; `compose_both` without the launcher."""
    return compose_both(overrides)[0]


def compose_both(overrides: Sequence[str]) -> tuple[Config, Config]:
    """Return the resolved configuration of one run, and that of its launcher, which is no part of what a run is.

    Args:
        overrides: `key=value`, without sweeps.

    Raises:
        CellwiseError: an unknown key or choice (the line lists the allowed ones), a value that is missing, or a budget
            that no hidden size meets.
    """
    parsed = parse_overrides(overrides)
    register_outside_cells(parsed)
    with _hydra():
        try:
            config = compose("config", overrides=list(overrides))
        except MissingConfigException as error:
            raise _unknown_choice(error) from error
        except ConfigCompositionException as error:
            raise _unknown_key(error, parsed) from error
        except (HydraException, OmegaConfBaseException) as error:
            raise CellwiseError(_one_line(error)) from error
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise CellwiseError(f"{missing[0]} is not set; give {missing[0]}=...")
        if config.budget is not None:
            refuse_two_sizes(parsed)
            size = hidden_size_in(lambda size: _resolved(config, {KEY: size}))
            return _parted(_resolved(config, {KEY: size, "budget": str(parse_budget(config.budget))}))
        return _parted(_resolved(config, {}))
    except OmegaConfBaseException as error:
        raise CellwiseError(_one_line(error)) from error


def _parted(config: Config) -> tuple[Config, Config]:
    launcher = config.pop("launcher")
    if not isinstance(launcher, dict):
        raise CellwiseError(f"launcher={launcher!r} must be a group of keys; choose a file of conf/launcher")
    return config, launcher


def _resolved(config: DictConfig, put_in: Mapping[str, Any]) -> Config:
    """The plain configuration with values put in; what follows them does."""
    for key, value in put_in.items():
        OmegaConf.update(config, key, value)
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


@contextmanager
def _hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(resource_folder("conf")), version_base="1.3"):
        yield


def register_outside_cells(parsed: list[Override]) -> None:
    """Import the modules of `cell_modules`, and let Hydra know every cell that has no file in `conf/`."""
    for override in parsed:
        if override.key_or_group == "cell_modules":
            value = override.value()
            import_cells([str(v) for v in (value if isinstance(value, list) else [value])])
    store = ConfigStore.instance()
    folder = resource_folder("conf") / "cell"
    for name in cell_names():
        if not (folder / f"{name}.yaml").exists():
            store.store(group="cell", name=name, node=cell_node(name))


def cell_node(name: str) -> Config:
    """Return a cell's configuration: its name and its options with their defaults."""
    return {"name": name, **{option.name: option.default for option in cell_info(name).options}}


def _unknown_choice(error: MissingConfigException) -> CellwiseError:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if group == "cell":
        try:
            cell_info(name)
        except CellwiseError as told:
            return told
    return unknown(group or "configuration", name, error.options or _files(group))


def _unknown_key(error: ConfigCompositionException, parsed: list[Override]) -> CellwiseError:
    found = re.search(r"Could not override '([^']+)'|Could not append to config.*'([^']+)'", str(error))
    if not found:
        return CellwiseError(_one_line(error))
    path = (found.group(1) or found.group(2)).split("@")[0].split(".")
    groups = [o.input_line for o in parsed if o.input_line and "." not in o.key_or_group and o.key_or_group != path[0]]
    node: Any = _composed_leniently(groups + [o for o in _choices(parsed) if o not in groups])
    for depth, part in enumerate(path):
        if not isinstance(node, DictConfig) or part not in node:
            where = ".".join(path[:depth])
            allowed = list(node) if isinstance(node, DictConfig) else []
            return unknown(f"key in {where!r}" if where else "key", part, [str(k) for k in allowed])
        node = node[part]
    return CellwiseError(_one_line(error))


def _choices(parsed: list[Override]) -> list[str]:
    return [o.input_line or "" for o in parsed if _files(o.key_or_group)]


def _files(group: str) -> list[str]:
    """The choices that `conf/` has for a group; none where it is no group."""
    return sorted(path.stem for path in (resource_folder("conf") / group).glob("*.yaml"))


def _composed_leniently(choices: list[str]) -> DictConfig:
    """The configuration with only the choices of groups applied, to list the keys that it has."""
    config: DictConfig
    try:
        config = compose("config", overrides=choices)
    except (HydraException, OmegaConfBaseException):
        config = compose("config")
    return config


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
