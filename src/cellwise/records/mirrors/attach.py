"""Attaches the mirrors that a run asks for; each is imported only by who asks, for W&B alone takes 0.4 s."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from cellwise.errors import CellwiseError
from cellwise.records.mirrors.contract import Mirror, Mirrored, left_out
from cellwise.records.mirrors.settings import Loggers
from cellwise.records.writer import RunWriter


def require_loggers(loggers: Loggers) -> None:
    """Refuse a logger whose package is not installed.

    Raises:
        CellwiseError: saying what installs it.
    """
    if "tensorboard" in loggers and importlib.util.find_spec("tensorboard") is None:
        raise CellwiseError("logger=tensorboard needs a package; type `pip install 'cellwise[tensorboard]'`")


def attach(record: RunWriter, loggers: Loggers, run: Mirrored) -> None:
    """Let a run's record be mirrored; what fails to begin is left out, with a line in `log.txt`.

    Raises:
        CellwiseError: a mirror that the user must do something for, for example log in.
    """
    for name, settings in loggers.items():
        try:
            mirror = _OPEN[name](run, settings)
        except CellwiseError:
            raise
        except Exception as error:
            record.note(left_out(f"logger {name}", error))
            continue
        record.mirror(mirror)


def _wandb(run: Mirrored, settings: Any) -> Mirror:
    # Before the import: else even an offline run looks up the address of a host of W&B's.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    if "wandb" not in sys.modules:
        # W&B's service of a process above, which holds on to the id of a run that was killed.
        os.environ.pop("WANDB_SERVICE", None)
    from cellwise.records.mirrors.wandb import WandbMirror

    return WandbMirror(run, settings)


def _tensorboard(run: Mirrored, settings: Any) -> Mirror:
    from cellwise.records.mirrors.tensorboard import TensorboardMirror

    return TensorboardMirror(run)


def _csv(run: Mirrored, settings: Any) -> Mirror:
    from cellwise.records.mirrors.csv import CsvMirror

    return CsvMirror(run.folder)


def _gif(run: Mirrored, settings: Any) -> Mirror:
    from cellwise.records.mirrors.gif import GifMirror

    return GifMirror(run.folder)


_OPEN: Mapping[str, Callable[[Mirrored, Any], Mirror]] = {
    "csv": _csv,
    "gif": _gif,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
}
