"""The table that a traced step is translated by: torch's operations, by their names, in ONNX.

torch's own decompositions come first (lerp, silu, logsumexp and a hundred more are taken apart into what is here), so
the table is short; what is in neither is refused by its name.
"""

from __future__ import annotations

from cellwise.interop.onnx.operands import Translation
from cellwise.interop.onnx.pointwise import POINTWISE
from cellwise.interop.onnx.shapes import SHAPES

TABLE: dict[str, Translation] = {**POINTWISE, **SHAPES}
