"""What each cell is proven against besides its own code: read from the tests that prove it, for the README's table.

A test of a new oracle gets a line in ORACLES; its cells are those that it is parametrised over, or that its body names.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from cellwise.cells.registry import cell_info, cell_names
from tests.cells import (
    test_frozen,
    test_onnxruntime,
    test_reference,
    test_torch_nn,
    test_torchrecurrent,
    test_torchrecurrent_ode,
)
from tests.recurrent import test_keras

Test = Callable[..., None]

BUILT_IN = [name for name in cell_names() if cell_info(name).factory.__module__.startswith("cellwise.cells.")]

# In the order of the table: what it is called there, and the tests that compare with it.
ORACLES: dict[str, tuple[Test, ...]] = {
    "NumPy float64": (test_reference.test_a_cell_computes_its_papers_equations,),
    "onnxruntime": (test_onnxruntime.test_a_cell_is_the_operator_of_onnx,),
    "torch.nn": (test_torch_nn.test_a_layer_is_the_module_of_torch,),
    "keras (images)": (test_keras.test_a_layer_is_keras_conv_lstm_forward_and_backward,),
    "torchrecurrent": (
        test_torchrecurrent.test_a_cell_is_that_of_torchrecurrent,
        test_torchrecurrent.test_so_is_indrnn,
        test_torchrecurrent_ode.test_antisymmetric_rnn_is_that_of_torchrecurrent,
        test_torchrecurrent_ode.test_cornn_is_that_of_torchrecurrent,
    ),
    "torchrecurrent (one term mended)": (
        test_torchrecurrent_ode.test_lem_is_that_of_torchrecurrent_but_for_the_memory_its_output_sees,
    ),
    "its authors' numbers": (test_frozen.test_slstm_is_that_of_its_authors_from_their_special_first_step_on,),
    "minGRU-pytorch's numbers": (test_frozen.test_minimal_cells_are_the_parallel_form_in_logarithms,),
}


def oracles_of(name: str) -> list[str]:
    """Return what a cell is proven against, in the order of ORACLES."""
    return [label for label, tests in ORACLES.items() if any(name in cells_of(test) for test in tests)]


def cells_of(test: Test) -> set[str]:
    """Return the cells that a test is parametrised over; of one that is not, those that its body names."""
    parametrised = {value for value in _parameters(test) if value in BUILT_IN}
    return parametrised or set(re.findall(r'"(\w+)"', inspect.getsource(test))) & set(BUILT_IN)


def _parameters(test: Any) -> Iterator[str]:
    for mark in test.pytestmark if hasattr(test, "pytestmark") else ():
        for case in mark.args[1] if mark.name == "parametrize" else ():
            # A cell's name leads its case (other texts of a case may be names too, such as an option's).
            first = case[0] if isinstance(case, tuple) else case
            if isinstance(first, str):
                yield first
