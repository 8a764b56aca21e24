"""The nonlinearities against torch's own functions, at the places where they are easily wrong."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from cellwise.cells.activations import log_sigmoid

FAR = [-1e4, -700.0, -40.0, -1.0, 0.0, 1.0, 40.0, 700.0, 1e4]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_log_sigmoid_is_torchs_and_so_is_its_slope_at_zero_and_far_from_it(dtype: torch.dtype) -> None:
    found_at = torch.tensor(FAR, dtype=dtype, requires_grad=True)
    expected_at = torch.tensor(FAR, dtype=dtype, requires_grad=True)
    found, expected = log_sigmoid(found_at), torch.nn.functional.logsigmoid(expected_at)
    torch.testing.assert_close(found, expected, rtol=torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps)
    slopes = torch.autograd.grad(found.sum(), found_at)[0], torch.autograd.grad(expected.sum(), expected_at)[0]
    torch.testing.assert_close(*slopes, rtol=2 * torch.finfo(dtype).eps, atol=0)


def test_log_sigmoid_has_right_first_and_second_derivatives() -> None:
    v = torch.tensor([-30.0, -2.0, -0.1, 0.1, 2.0, 30.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(log_sigmoid, v) and gradgradcheck(log_sigmoid, v)
    assert gradcheck(log_sigmoid, torch.zeros(1, dtype=torch.float64, requires_grad=True))
