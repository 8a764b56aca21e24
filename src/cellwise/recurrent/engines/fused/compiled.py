"""Graphs made fast: compiled by inductor, one kernel or few a graph, or run operator by operator where none can be.

`torch.compile` is not used: its cache is one code object's, eight graphs wide, and the ninth cell would run uncompiled
without a word. `standalone_compile` has no guards; its key is ours, and its kernels lie in torch's cache on disk.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.graphs import Stage, traced

Call = Callable[..., Any]

_made: dict[tuple[Any, ...], Call] = {}
_compile = os.environ.get("CELLWISE_COMPILE", "1") != "0"


def made(form: Form, direction: str, number: int, stage: Stage, examples: Sequence[Tensor]) -> Call:
    """Return a stage for tensors like the examples, made once a process for each cell, size and condition."""
    compiles = _compile and compiler_at_hand(examples[0].device.type)
    layout = tuple((tuple(e.shape), e.stride(), e.dtype, e.device) for e in examples)
    key = (form.key, direction, number, compiles, layout)
    if key not in _made:
        graph = traced(stage, examples)
        _made[key] = _compiled(graph, examples) if compiles else graph
    return _made[key]


@cache
def compiler_at_hand(device: str) -> bool:
    """Whether graphs can be compiled for a device; says once what is slower where they can't."""
    if device != "cpu":
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch._inductor import cpp_builder
        from torch._inductor.exc import InvalidCxxCompiler

    try:
        cpp_builder.get_cpp_compiler()
    except InvalidCxxCompiler:
        warnings.warn(
            "no C++ compiler is at hand, so the fused engine runs operator by operator: about as fast as the "
            "reference; install g++ to make it faster",
            stacklevel=2,
        )
        return False
    return True


@contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Compile within, or don't: for tests, and for who wants no second of compilation."""
    global _compile
    before, _compile = _compile, wanted
    try:
        yield
    finally:
        _compile = before


def _compiled(graph: torch.fx.GraphModule, examples: Sequence[Tensor]) -> Call:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inductor imports what torch itself has deprecated
        from torch._inductor import standalone_compile

        artifact: Call = standalone_compile(graph, list(examples), dynamic_shapes="from_example_inputs")
    return artifact
