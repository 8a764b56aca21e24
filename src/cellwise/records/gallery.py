"""The view of examples one by one: a picture, what is asked of it, and the answers with a value each."""

from __future__ import annotations

from dataclasses import dataclass

from cellwise.records.axes import About, Array, Axis, as_array


@dataclass(frozen=True, eq=False)
class Gallery:
    """Examples: ``captions`` say what is asked, ``right`` what is right ("" where that is not known).

    ``answers`` are what the run said of each example, the best first, and ``values`` ``(examples, answers)`` what each
    of them is worth in ``value``. ``images`` are colours, uint8 ``(examples, height, width, 3)``; None where there are
    none, or none that may be shown.
    """

    name: str
    title: str
    question: str
    value: Axis
    captions: tuple[str, ...]
    right: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    values: Array
    images: Array | None = None
    about: About = "task"
    redistributable: bool = True

    def __post_init__(self) -> None:
        as_array(self, "values", 2)
        as_array(self, "images", 4)
        examples = len(self.captions)
        if not len(self.right) == len(self.answers) == len(self.values) == examples:
            found = f"{len(self.right)} right answers, {len(self.answers)} of answers, {len(self.values)} of values"
            raise ValueError(f"{examples} captions, but {found}")
        if any(len(said) != self.values.shape[1] for said in self.answers):
            raise ValueError(f"each example has {self.values.shape[1]} values, and must have as many answers")
        if self.images is not None and (self.images.dtype != "uint8" or self.images.shape[::3] != (examples, 3)):
            raise ValueError(f"images are {self.images.dtype} {self.images.shape}, expected uint8 ({examples}, ..., 3)")
