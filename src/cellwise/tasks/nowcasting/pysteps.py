"""The one door to pysteps, which only an extra installs.

pysteps prints when it is imported and while it works, and its import changes the interpreter's warning filters for
good (`ignore` for every RuntimeWarning). Behind this door neither is seen outside.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

from cellwise.errors import CellwiseError

EXTRA = "pip install 'cellwise[nowcasting]'"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let what runs inside print nothing, and leave the warning filters as they were."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def imported(name: str, purpose: str) -> Any:
    """Return a module of pysteps, or of what it needs.

    Args:
        name: full, for example ``pysteps.io.importers``.
        purpose: what it is needed for, for the message: "radar files are read".

    Raises:
        CellwiseError: it is not installed; names the extra.
    """
    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        package = name.split(".")[0]
        raise CellwiseError(f"{purpose} with {package}, which is not installed ({error}); type {EXTRA}") from error
