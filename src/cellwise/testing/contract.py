"""Every check of the contract, by its sentence.

A check is a plain function of `build`, which returns a new cell; it raises AssertionError with what is wrong:

    from cellwise.testing.contract import CHECKS

    @pytest.mark.parametrize(("title", "check"), CHECKS)
    def test_my_cell(title, check):
        check(lambda: MyCell(option=2))
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, cell_info
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines.fused.compiled import compiling
from cellwise.testing import (
    conditions,
    copies,
    dependence,
    engines,
    gradients,
    lengths,
    memory,
    shapes,
    steps,
    structure,
    transforms,
    views,
)

Check = Callable[[Callable[[], Cell]], None]


def _uncompiled(check: Check) -> Check:
    """The same check with the fused engine's graphs run as they are: compiling each of them would take an hour."""

    @functools.wraps(check)
    def run(build: Callable[[], Cell]) -> None:
        with compiling(False):
            check(build)

    return run


# A step that fails one of these fails most of the others too, so these come first.
STEP_CHECKS: tuple[tuple[str, Check], ...] = (
    ("a step returns every state and gate, in the shapes of the state", steps.check_step_returns),
    ("a step calls the declared products once each, in order, with operands of their width", steps.check_products),
    ("a step changes none of its inputs in place", steps.check_step_is_pure),
    ("a step that is affine in the state is so unit by unit", steps.check_affine),
    ("a step works row by row: a 1x1 convolution is the dense layer at each pixel", steps.check_rows),
    ("large inputs, 10,000, leave a step and its gradients finite", steps.check_large_inputs),
)

_LAYER_CHECKS: tuple[tuple[str, Check], ...] = (
    ("each state that is retained names a gate that says how much of it is kept", memory.check_retention),
    ("a larger bias moves the memory the way that chrono says", memory.check_chrono),
    ("outputs and states have the right shapes, in float32, float64 and bfloat16", shapes.check_shapes),
    ("on images too, with even and odd kernels", shapes.check_image_shapes),
    ("the output is the first state", shapes.check_output_is_first_state),
    ("a row alone gives what it gives in its batch", dependence.check_batch_independence),
    ("an output depends on the present and the past, and on nothing later", dependence.check_causality),
    ("two halves with carried state give what the whole gives", dependence.check_halves),
    ("one step at a time gives what the whole gives", dependence.check_step_by_step),
    ("a padded row gives what the row alone gives", lengths.check_padded_row),
    ("what lies in the padding, and how much there is, changes nothing", lengths.check_padding),
    ("length 0 and time 0 return the state they start from, and a batch may be empty", lengths.check_nothing),
    ("the backward direction is the forward one on rows flipped within their lengths", lengths.check_backward),
    ("every parameter, input and state gets a gradient that is not zero", gradients.check_every_gradient),
    ("gradients are right (float64, finite differences)", gradients.check_gradients),
    ("gradients of gradients are right (float64, finite differences)", gradients.check_second_gradients),
    ("every engine that takes the cell agrees with the reference", engines.check_engines),
    ("a trace is the forward pass, with every gate and state", views.check_trace),
    ("a trace is differentiable", views.check_trace_gradient),
    ("the weights of each gate decide the output, and writing into them changes the layer", views.check_gate_weights),
    ("the parameters have the declared names and come back from a state_dict bit by bit", copies.check_state_dict),
    ("a layer can be copied and pickled", copies.check_copies),
    ("pieces between resets are rows of their own, in both directions", conditions.check_resets),
    ("the initial state may be learned", conditions.check_initial_state),
    ("zoneout keeps the old or takes the new, and their expectation in evaluation", conditions.check_zoneout),
    ("evaluation is deterministic with every kind of dropout, and training is not", conditions.check_evaluation),
    ("a layer runs without biases, and two add up to one", conditions.check_biases),
    ("a step costs the declared products on every engine, the input's share outside", structure.check_product_count),
    ("on images too, as convolutions", structure.check_convolution_count),
    ("an antisymmetric product is one, v . (A v) = 0, also on images", structure.check_antisymmetric),
    ("an ensemble under vmap is each layer alone", transforms.check_vmap),
    ("forward derivatives agree with backward ones", transforms.check_forward_derivative),
)
CHECKS = (*STEP_CHECKS, *((title, _uncompiled(check)) for title, check in _LAYER_CHECKS))


LEFT_OUT = "left out; they say more once the step passes those above"


def check_cell(name: str) -> Iterator[tuple[str, str | None]]:
    """Run every check on a registered cell, under each combination of its listed options.

    Args:
        name: a registered name.

    Yields:
        The check's title, and None or the one line that says what is wrong. It goes on after a failure, unless the
        step itself is wrong: then the last pair says how many checks were left out.

    Raises:
        CellwiseError: unknown cell.
    """
    variants, failed_step = option_variants(name), False
    for done, (title, check) in enumerate(CHECKS):
        # Nothing can be said of a step that does not return what it should; of another, all that is about the step.
        if failed_step and done in (1, len(STEP_CHECKS)):
            yield f"the other {len(CHECKS) - done} checks", LEFT_OUT
            return
        failures = ((options, _failure(check, name, options)) for options in variants)
        error = next((_told(options, error) for options, error in failures if error is not None), None)
        failed_step = failed_step or error is not None
        yield title, error


def option_variants(name: str) -> list[dict[str, Any]]:
    """Return every combination of those options of a cell whose values are listed; the defaults for the others.

    Raises:
        CellwiseError: unknown cell.
    """
    listed = [option for option in cell_info(name).options if option.allowed is not None]
    values = [option.allowed or () for option in listed]
    return [dict(zip([o.name for o in listed], chosen, strict=True)) for chosen in itertools.product(*values)]


def _failure(check: Check, name: str, options: dict[str, Any]) -> str | None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, threads wait for each other ten times as long as they work
    try:
        with torch.random.fork_rng(devices=[]):
            check(lambda: build_cell(name, options))
    except Exception as error:
        kind = "" if isinstance(error, AssertionError | CellwiseError) else f"{type(error).__name__}: "
        line = kind + " ".join(str(error).split())
        return line if len(line) <= 300 else line[:297] + "..."
    finally:
        torch.set_num_threads(threads)
    return None


def _told(options: dict[str, Any], error: str) -> str:
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"with {given}: {error}" if given else error
