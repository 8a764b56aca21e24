"""The usual convolutional LSTM of PyTorch repositories: one convolution of the concatenated [x, h] a step, autograd.

With the peepholes of Shi et al. 2015 (arXiv 1506.04214), one number a channel, so that it computes our `peephole_lstm`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cellwise.bench.problem import Problem, Step

ENGINE = "usual module"
_INPUT, _RECURRENT = "layers.0.input_weight", "layers.0.recurrent_weight.hidden"
_EXTRA = "layers.0.extra.peephole_"


class UsualConvLSTM(nn.Module):
    """Gates are stacked input, forget, candidate, output."""

    def __init__(self, channels: int, hidden: int, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv2d(channels + hidden, 4 * hidden, kernel_size, padding=kernel_size // 2)
        self.peephole_input = nn.Parameter(torch.zeros(hidden, 1, 1))
        self.peephole_forget = nn.Parameter(torch.zeros(hidden, 1, 1))
        self.peephole_output = nn.Parameter(torch.zeros(hidden, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (time, batch, hidden, height, width) of x (time, batch, channels, height, width)."""
        hidden = len(self.peephole_input)
        h = c = x.new_zeros(x.shape[1], hidden, *x.shape[-2:])
        outputs = []
        for frame in x:
            i, f, z, o = self.conv(torch.cat([frame, h], 1)).chunk(4, 1)
            i = torch.sigmoid(i + self.peephole_input * c)
            f = torch.sigmoid(f + self.peephole_forget * c)
            c = f * c + i * torch.tanh(z)
            h = torch.sigmoid(o + self.peephole_output * c) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs)


def of_usual(problem: Problem) -> Step:
    """Return its step with the weights of a `peephole_lstm` on images, whose kernel is odd."""
    hidden, weights = problem.shape.hidden, problem.weights
    module = UsualConvLSTM(hidden, hidden, problem.shape.kernel).to(problem.dtype)
    peepholes = {f"{_EXTRA}{gate}": f"peephole_{gate}" for gate in ("input", "forget", "output")}
    with torch.no_grad():
        module.conv.weight.copy_(torch.cat([weights[_INPUT], weights[_RECURRENT]], 1))
        assert module.conv.bias is not None
        module.conv.bias.copy_(weights["layers.0.bias"])
        for ours, theirs in peepholes.items():
            getattr(module, theirs).copy_(weights[ours][:, None, None])

    def renamed(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        by_input, by_state = gradients["conv.weight"].chunk(2, 1)
        found = {_INPUT: by_input, _RECURRENT: by_state, "layers.0.bias": gradients["conv.bias"]}
        return found | {ours: gradients[theirs].flatten() for ours, theirs in peepholes.items()}

    return problem.step(ENGINE, module, dict(module.named_parameters()), renamed)
