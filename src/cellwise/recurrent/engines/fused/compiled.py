"""Graphs made fast: compiled by inductor, one kernel or few a graph, or run operator by operator where none can be.

`torch.compile` is not used: its cache is one code object's, eight graphs wide, and the ninth cell would run uncompiled
without a word. `standalone_compile` has no guards; its key is ours, and its kernels lie in torch's cache on disk.
"""

from __future__ import annotations

import os
import sysconfig
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.saving import save
from cellwise.recurrent.engines.fused.tangent import without_tanh
from cellwise.recurrent.engines.fused.tracing import Traced, traced

Call = Callable[..., Any]

_made: dict[tuple[Any, ...], Made] = {}
_at_work = threading.RLock()
"""One thread traces or compiles at a time: neither torch's tracer nor inductor's settings are one thread's own."""
_compile = os.environ.get("CELLWISE_COMPILE", "1") != "0"


class Made:
    """The graphs of a form, ready to be called; one is compiled when it is asked for first.

    Attributes:
        saved: names of the buffers that they share beyond those of the form.
        any_rows: whether they are right for any number of rows.
    """

    def __init__(self, form: Form, like: Tensor, rows: int | None, *, compiles: bool):
        graphs = traced(form, like, rows)
        save(form, graphs)
        self.saved, self.any_rows = tuple(graphs.saved), graphs.any_rows
        self._graphs = {"forward": graphs.forward, "backward": graphs.backward}
        self._compiles = compiles
        self._calls: dict[tuple[str, int], Call] = {}

    def stage(self, direction: str, number: int) -> tuple[tuple[str, ...], Call]:
        """Return the names of what a stage takes from buffers, in order, and its call."""
        of = self._graphs[direction][number]
        if (direction, number) not in self._calls:
            with _making():
                if (direction, number) not in self._calls:
                    self._calls[direction, number] = _compiled(of) if self._compiles else of.graph
        return tuple(of.names), self._calls[direction, number]


def made(form: Form, like: Tensor, rows: int) -> Made:
    """Return the graphs of a form, made once a process for each cell, width and condition.

    Args:
        form: of the step.
        like: a tensor of the dtype and on the device of the layer.
        rows: of the call; what is compiled, is so for any number, unless the step itself asks for the number.
    """
    compiles = _compile and compiler_at_hand(like.device.type)
    if rows > 1 and compiles and (found := _made_for(form, like, None, compiles=True)).any_rows:
        return found
    return _made_for(form, like, rows, compiles=compiles)


def _made_for(form: Form, like: Tensor, rows: int | None, *, compiles: bool) -> Made:
    """The graphs for so many rows alone, or for any number but 1."""
    key = (form.key, compiles, like.dtype, like.device, torch.get_num_threads(), rows)
    if key not in _made:
        with _making():
            if key not in _made:
                _made[key] = Made(form, like, rows, compiles=compiles)
    return _made[key]


@contextmanager
def _making() -> Iterator[None]:
    """Alone, and outside of the modes of the first call: what an evaluation makes, training goes on with."""
    with _at_work, torch.inference_mode(False), torch.autograd.set_detect_anomaly(False):
        yield


def wanted() -> bool:
    """Whether graphs are compiled where they can be; `CELLWISE_COMPILE=0` in the environment says no."""
    return _compile


@cache
def compiler_at_hand(device: str) -> bool:
    """Whether graphs can be compiled for a device; says once what is slower where they can't."""
    missing = _missing_for_gpu() if device == "cuda" else _missing() if device == "cpu" else None
    if missing is not None:
        _say(f"there is no {missing} here", device)
    return missing is None


def _missing() -> str | None:
    """What inductor needs on a CPU and does not find; trying it would take most of a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch._inductor import cpp_builder
        from torch._inductor.exc import InvalidCxxCompiler

    try:
        cpp_builder.get_cpp_compiler()
    except InvalidCxxCompiler:
        return "C++ compiler"
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return None if header.is_file() else f"{header}"


def _missing_for_gpu() -> str | None:
    """What inductor needs on a GPU and does not find."""
    from torch.utils._triton import has_triton, has_triton_package

    if not has_triton_package():
        return "Triton"
    return None if has_triton() else "GPU that Triton compiles for (NVIDIA's from capability 7.0 on)"


_CURES = {
    "cpu": "install g++ and Python's headers (Debian: g++ python3-dev)",
    "cuda": "install Triton (pip install triton), gcc and Python's headers (Debian: gcc python3-dev)",
}


def _say(why: str, device: str) -> None:
    cure = f"; {_CURES[device]} to make it faster" if device in _CURES else ""
    warnings.warn(
        f"nothing is compiled, because {why}: the fused engine runs operator by operator, about as fast as the "
        f"reference{cure}",
        stacklevel=2,
    )


@contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Compile within, or don't: for tests, and for who wants no second of compilation."""
    global _compile
    before, _compile = _compile, wanted
    try:
        yield
    finally:
        _compile = before


def _compiled(of: Traced) -> Call:
    """A graph compiled; as it is where the compiler fails, and that is said."""
    try:
        return _by_inductor(of)
    except Exception as error:  # whatever a compiler that is there but broken leads to
        lines = str(error).strip().splitlines() or [type(error).__name__]
        _say(f"the compiler failed ({lines[0][:120]})", _device(of))
        return of.graph


def _by_inductor(of: Traced) -> Call:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inductor imports what torch itself has deprecated
        from torch._inductor import standalone_compile

        if _device(of) == "cpu":
            without_tanh(of.graph)
        examples = [node.meta["val"] for node in of.graph.graph.nodes if node.op == "placeholder"]
        # Symbols of the graph and of the examples must be those of one mode, and this is how it is told which.
        context = torch._guards.TracingContext(examples[0].fake_mode)
        with torch._guards.tracing(context), torch._inductor.config.patch(_INDUCTOR):
            artifact: Call = standalone_compile(of.graph, examples, dynamic_shapes="from_tracing_context")
    return artifact


_INDUCTOR = {
    "compile_threads": 1,  # in this process: workers that compile ahead would outlive a run that is killed
    # A loop hands every step the rows of the same buffers: to look at their sizes each time takes a tenth of a call.
    "size_asserts": False,
    "alignment_asserts": False,
}


def _device(of: Traced) -> str:
    """The kind of device that a graph's arguments lie on."""
    kind: str = next(iter(of.graph.graph.nodes)).meta["val"].device.type
    return kind
