"""Structurally constrained recurrent network: a fast hidden layer and a slow context.

Source: Mikolov, Joulin, Chopra, Mathieu and Ranzato, "Learning longer memory in recurrent neural networks", ICLR 2015
workshop, arXiv 1412.7753.

    context  s = (1 - alpha) * B x + alpha * s_{t-1}
    hidden   h = sigmoid(P s + A x + R h_{t-1})
    output   softmax(U h + V s): not of this cell

Differences: the output is h, so the context reaches what follows through P alone; the context has as many units as h;
both B x and A x have a bias. No gate says what is kept: alpha is a constant.
"""

from __future__ import annotations

from cellwise.cells.activations import sigmoid
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell
from cellwise.errors import CellwiseError


@register_cell(
    "scrn",
    paper="Mikolov et al. 2015, arXiv 1412.7753",
    equations=(
        "context    s = (1 - alpha) * (B x + b_s) + alpha * s_{t-1}",
        "candidate  h = sigmoid(P s + A x + b_h + R h_{t-1})",
        "output     h",
    ),
    differences=(
        "the output is h; the paper's softmax also reads the context, which here reaches it through P alone",
        "the context has as many units as the hidden layer; the paper's sizes differ",
        "B x and A x have a bias each; the paper has none",
    ),
)
class SCRN(Cell):
    """A sigmoid recurrent layer beside an exponential moving average of its input.

    Args:
        alpha: share of the context that is kept each step; a constant, 0.95 in the paper.

    Raises:
        CellwiseError: an alpha with which the context would not be an average of the input.
    """

    gates = ("context_input", "candidate")
    # A gate is fed by one product, so the recurrent share of the candidate is a part.
    products = {"context": (("candidate",), 1), "hidden": (("candidate_recurrent",), 1)}
    parts = {"candidate_recurrent": "candidate"}
    states = ("h", "context")

    def __init__(self, *, alpha: float = 0.95):
        if not 0 <= alpha < 1:
            raise CellwiseError(f"cell.alpha={alpha!r} of 'scrn' must be at least 0 and less than 1, for example 0.95")
        self.alpha = alpha

    def step(self, x, U, s, p):
        context = (1 - self.alpha) * x["context_input"] + self.alpha * s["context"]
        seen = U("context", context)["candidate"]
        h = sigmoid(seen + U("hidden", s["h"])["candidate_recurrent"])
        return {"h": h, "context": context}, {"context_input": x["context_input"], "candidate": h}
