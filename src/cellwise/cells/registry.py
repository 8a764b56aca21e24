"""The registry: every cell by its name, with its paper, equations, options and differences.

A cell's name is the same string here, on the command line, in the run folder and in the legend. Registering imports no
torch; a cell of yours is registered by importing its module (`cell_modules=` on the command line).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from cellwise.cells.contract import Cell, Products
from cellwise.cells.declaration import check_declaration
from cellwise.errors import CellwiseError, unknown

C = TypeVar("C", bound=type[Cell])

# Modules of cellwise.cells, in the order of the field's first chapter.
_BUILT_IN = (
    "rnn",
    "lstm",
    "gru",
    "greff",
    "layer_norm",
    "single_gate",
    "mut",
    "indrnn",
    "scrn",
    "ode",
    "minimal",
    "slstm",
)

# Names people look for that are another cell's option or layer: what to type instead.
_INSTEAD = {
    "conv_lstm": "a ConvLSTM is peephole_lstm (Shi et al. 2015) or lstm (keras, OpenSTL) on a convolution: "
    "cw.ConvRecurrent('peephole_lstm', ...)",
    "cifg": "type coupled_lstm (Greff's CIFG has peepholes: cell.peepholes=true)",
    "nig": "type no_input_gate_lstm",
    "nfg": "type no_forget_gate_lstm",
    "nog": "type no_output_gate_lstm",
    "niaf": "type no_input_activation_lstm",
    "noaf": "type no_output_activation_lstm",
    "fgr": "type full_gate_recurrence_lstm",
    "np": "type lstm (Greff's NP is the LSTM without peepholes)",
    "vanilla": "type rnn (Greff's 'vanilla LSTM' is peephole_lstm)",
}


@dataclass(frozen=True)
class Option:
    """One constructor argument of a cell."""

    name: str
    default: Any
    allowed: tuple[Any, ...] | None  # None: any value of the default's type

    def check(self, cell: str, value: Any) -> Any:
        """Return the value, or raise the one line that lists what is allowed."""
        if self.allowed is not None:
            if not any(value == each and type(value) is type(each) for each in self.allowed):  # 1 is not true
                listed = ", ".join(map(str, self.allowed))
                raise CellwiseError(f"cell.{self.name}={value} is not an option of {cell!r}; allowed: {listed}")
            return value
        expected = type(self.default)
        if expected is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if type(value) is not expected:
            raise CellwiseError(
                f"cell.{self.name}={value!r} of {cell!r} must be a {expected.__name__}, like {self.default!r}"
            )
        return value


@dataclass(frozen=True)
class CellInfo:
    """What the registry knows of a cell; data are those of its default options."""

    name: str
    paper: str
    equations: tuple[str, ...]
    differences: tuple[str, ...]
    options: tuple[Option, ...]
    gates: tuple[str, ...]
    products: Products
    states: tuple[str, ...]
    extras: Mapping[str, float | tuple[float, float]]
    factory: type[Cell]
    fixed: Mapping[str, Any]  # constructor arguments that make this name out of a family's class


_cells: dict[str, CellInfo] = {}


@overload
def register_cell(
    name: str,
    factory: None = None,
    *,
    paper: str = ...,
    equations: Iterable[str] = ...,
    differences: Iterable[str] = ...,
    fixed: Mapping[str, Any] | None = ...,
) -> Callable[[C], C]: ...
@overload
def register_cell(
    name: str,
    factory: C,
    *,
    paper: str = ...,
    equations: Iterable[str] = ...,
    differences: Iterable[str] = ...,
    fixed: Mapping[str, Any] | None = ...,
) -> C: ...
def register_cell(
    name: str,
    factory: Any = None,
    *,
    paper: str = "",
    equations: Iterable[str] = (),
    differences: Iterable[str] = (),
    fixed: Mapping[str, Any] | None = None,
) -> Any:
    """Register a cell under a name; call it with the class, or use it as a decorator.

    Args:
        name: lower_snake; what users type.
        factory: the cell's class; its constructor takes the options, keyword-only, each with a default.
        paper: source, for `cellwise cells NAME`.
        equations: the formulas, one a line.
        differences: departures from the paper or from torch.nn.
        fixed: constructor arguments that this name stands for, where one class is a family of cells; no options then.

    Raises:
        CellwiseError: the name is taken or ill-formed, or the cell's data contradict each other.
    """
    if factory is None:
        return lambda cls: register_cell(
            name, cls, paper=paper, equations=equations, differences=differences, fixed=fixed
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise CellwiseError(f"cell name {name!r} must be lower_snake, for example 'my_cell'")
    if not (isinstance(factory, type) and issubclass(factory, Cell)):
        raise CellwiseError(f"cell {name!r}: {factory!r} must be a class derived from cellwise.Cell")
    taken = _cells.get(name)
    if taken is not None and not _same_class(taken.factory, factory):
        raise CellwiseError(f"cell {name!r} is registered already, by {taken.factory.__module__}; choose another name")
    fixed = dict(fixed or {})
    options = tuple(option for option in _options(name, factory) if option.name not in fixed)
    cell = factory(**{o.name: o.default for o in options}, **fixed)
    check_declaration(cell, name)
    _cells[name] = CellInfo(
        name=name,
        paper=paper,
        equations=tuple(equations),
        differences=tuple(differences),
        options=options,
        gates=cell.gates,
        products=cell.products,
        states=cell.states,
        extras=cell.extras,
        factory=factory,
        fixed=fixed,
    )
    return factory


def cell_names() -> list[str]:
    """Return the registered names, sorted."""
    _load_built_in()
    return sorted(_cells)


def cell_info(name: str, *, modules_key: str = "cell_modules=[my_module]") -> CellInfo:
    """Return the registry entry of a cell.

    Args:
        name: of the cell.
        modules_key: what to type for the module of a cell that is not here, as the answer to an unknown name says it.

    Raises:
        CellwiseError: the name is unknown; the line lists the registered ones.
    """
    _load_built_in()
    if name in _cells:
        return _cells[name]
    if name in _INSTEAD:
        raise CellwiseError(f"unknown cell {name!r}; {_INSTEAD[name]}; registered: {', '.join(sorted(_cells))}")
    raise unknown("cell", name, _cells, f"a cell of your own needs its module: {modules_key}")


def build_cell(name: str, options: Mapping[str, Any] | None = None) -> Cell:
    """Construct a registered cell with options checked against its constructor.

    Raises:
        CellwiseError: unknown cell or option, or a value that is not allowed.
    """
    info = cell_info(name)
    known = {o.name: o for o in info.options}
    given = dict(options or {})
    for key in given:
        if key not in known:
            raise unknown(f"option of cell {name!r}", key, known)
    cell = info.factory(**{key: known[key].check(name, value) for key, value in given.items()}, **info.fixed)
    check_declaration(cell, name)
    return cell


def import_cells(modules: str | Iterable[str]) -> None:
    """Import modules that register cells: dotted names (the working folder counts) or paths of Python files.

    Raises:
        CellwiseError: a module can't be found, or fails when imported.
    """
    for module in [modules] if isinstance(modules, str) else modules:
        try:
            if module.endswith(".py"):
                _import_file(Path(module))
            else:
                if "" not in sys.path and str(Path.cwd()) not in sys.path:
                    sys.path.append(str(Path.cwd()))
                importlib.import_module(module)
        except CellwiseError:
            raise
        except (Exception, SystemExit) as error:
            raise CellwiseError(
                f"cell_modules: can't import {module!r} ({type(error).__name__}: {error}); give a dotted name "
                f"importable from {Path.cwd()} or a path such as ./my_cell.py"
            ) from error


def _import_file(path: Path) -> None:
    resolved = path.resolve()
    # The folder is in the name, so that two files called cells.py don't replace each other.
    name = f"cellwise_user_{resolved.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    if not resolved.is_file():
        raise FileNotFoundError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(name, resolved)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # so that the mended file is read again
        raise


def _load_built_in() -> None:
    for module in _BUILT_IN:
        importlib.import_module(f"cellwise.cells.{module}")


def _options(name: str, factory: type[Cell]) -> tuple[Option, ...]:
    if factory.__init__ is object.__init__:
        return ()
    hints = typing.get_type_hints(factory.__init__)
    found = []
    for parameter in list(inspect.signature(factory.__init__).parameters.values())[1:]:
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
            raise CellwiseError(f"cell {name!r}: option {parameter.name!r} must be keyword-only and have a default")
        hint = hints.get(parameter.name)
        allowed = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else None
        if allowed is None and isinstance(parameter.default, bool):
            allowed = (True, False)
        found.append(Option(parameter.name, parameter.default, allowed))
    return tuple(found)


def _same_class(a: type, b: type) -> bool:
    """The same class, also after its module was imported again (notebooks, workers)."""
    return a is b or (a.__qualname__ == b.__qualname__ and a.__module__ == b.__module__)
