"""A registry that forgets what a test registers."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from cellwise.cells import registry


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The built-in cells; cells and modules that the test adds are gone after it."""
    registry.cell_names()
    monkeypatch.setattr(registry, "_cells", dict(registry._cells))
    modules = set(sys.modules)
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("cellwise_user_", "cells_of_this_test")):  # not what torch imports when first needed
            del sys.modules[name]
