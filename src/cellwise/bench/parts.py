"""What can be measured, in the order in which it is; nothing here imports torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cellwise.errors import CellwiseError, unknown

if TYPE_CHECKING:
    from cellwise.records.bench import Finding, Measurement

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Setting:
    """How much is measured, and where.

    Attributes:
        quick: small shapes once, for what is wrong and not for how fast it is; seconds.
        full: the registry at every shape.
        device: `cpu`, or `cuda`.
    """

    quick: bool = False
    full: bool = False
    device: Device = "cpu"


@dataclass
class Found:
    """What a part has found; `absent` and `wrong` as of `BenchRecord`, `lines` say it in words."""

    rows: list[Measurement] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __iadd__(self, other: Found) -> Found:
        self.rows += other.rows
        self.findings += other.findings
        self.absent += [line for line in other.absent if line not in self.absent]
        self.wrong += other.wrong
        return self


@dataclass(frozen=True)
class Part:
    """A part of the bench.

    Attributes:
        title: what it measures.
        quick: whether it compares results, so that it is of use where times are not looked at.
        cuda: whether it is measured on a GPU too.
    """

    title: str
    quick: bool = False
    cuda: bool = False


PARTS: dict[str, Part] = {
    "startup": Part("how fast the commands answer that need no torch"),
    "overhead": Part("what a run costs beyond its training steps"),
    "trainer": Part("training through the Trainer against a plain loop"),
    "probes": Part("what looking inside the cell costs"),
    "layers": Part("chosen cells against torch.nn, JAX and torchrecurrent", quick=True, cuda=True),
    "registry": Part("every registered cell against its reference", quick=True),
    "images": Part("convolutional cells against the usual module", quick=True),
    "steps": Part("cost against the number of steps; seconds of compilation", quick=True),
    "memory": Part("peak memory of a training step"),
    "questions": Part("questions a second of visual question answering: loader and training"),
    "replicas": Part("several seeds at once", quick=True),
}


def chosen(names: Sequence[str], setting: Setting) -> list[str]:
    """Return the parts to measure, in their order; all that fit the setting where none is named.

    Raises:
        CellwiseError: a part that is not known, or that the setting has no use for.
    """
    fits = [name for name, part in PARTS.items() if _fits(part, setting)]
    for name in names:
        if name not in PARTS:
            raise unknown("part of the bench", name, PARTS)
        if name not in fits:
            how = "--device cuda" if setting.device == "cuda" and not PARTS[name].cuda else "--quick"
            raise CellwiseError(f"part {name!r} is not measured with {how}; allowed: {', '.join(fits)}")
    return [name for name in fits if name in names or not names]


def measure(name: str, setting: Setting) -> Iterator[Found]:
    """Measure a part, piece by piece."""
    part: Callable[[Setting], Iterator[Found]] = importlib.import_module(f"cellwise.bench.{name}").measure
    return part(setting)


def _fits(part: Part, setting: Setting) -> bool:
    return (part.quick or not setting.quick) and (part.cuda or setting.device == "cpu")
