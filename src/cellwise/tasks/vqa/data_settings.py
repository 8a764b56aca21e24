"""The settings of visual question answering's data, checked without importing torch, and the way to the questions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cellwise.errors import CellwiseError, unknown
from cellwise.settings import bounded, parse

if TYPE_CHECKING:
    from cellwise.tasks.contract import Split
    from cellwise.tasks.vqa.questions import Questions

Bad = Literal["refuse", "skip"]
Format = Literal["csv", "daquar", "nlvr"]


@dataclass(frozen=True)
class ShapesQA:
    """Embedded: coloured shapes and questions about them, each drawn from its number; see conf/data/shapes_qa.yaml.

    Attributes:
        seed: of everything drawn.
        images: ``pixels``; or ``objects``, what each object is and where, so that nothing must be learnt about seeing.
        size: height and width of an image in pixels.
        objects_min: fewest objects of an image.
        objects_max: most; each has a colour of its own, of six.
        compositional: share of compositional questions.
        relational: share of relational ones; the rest is non-relational.
        words_min: fewest words of a compositional question.
        words_max: most; every number between the two is as frequent.
        train_questions: of train, each with an image of its own.
        valid_questions: of validation.
        test_questions: of test.
    """

    name: Literal["shapes_qa"] = "shapes_qa"
    seed: int = bounded(0, minimum=0)
    images: Literal["pixels", "objects"] = "pixels"
    size: int = bounded(32, minimum=24, below=257)
    objects_min: int = bounded(3, minimum=3, below=7)
    objects_max: int = bounded(4, minimum=3, below=7)
    compositional: float = bounded(0.6, minimum=0, below=1.0001)
    relational: float = bounded(0.2, minimum=0, below=1.0001)
    words_min: int = bounded(5, minimum=5)
    words_max: int = bounded(40, minimum=5, below=1_000)
    train_questions: int = bounded(20_000, minimum=1)
    valid_questions: int = bounded(2_000, minimum=1)
    test_questions: int = bounded(5_000, minimum=1)


@dataclass(frozen=True)
class EasyVqa:
    """easy-VQA (Zhou 2019), of the package or of ``easy-vqa/easy_vqa_data.tar.gz``; see conf/data/easy_vqa.yaml.

    Attributes:
        image_size: pixels a side that images are reduced to; 64 is how they are.
        valid_share: of train's images, which validation has to itself.
        seed: of which those are.
        cache_dir: where decoded images are kept; None: the user's cache folder.
    """

    name: Literal["easy_vqa"] = "easy_vqa"
    image_size: int = bounded(64, minimum=8, below=65)
    valid_share: float = bounded(0.1, minimum=0.001, below=0.9)
    seed: int = bounded(0, minimum=0)
    cache_dir: str | None = None


@dataclass(frozen=True)
class VqaV2:
    """VQA v2 (Goyal et al. 2017) in its official JSON, or any part of it; see conf/data/vqa_v2.yaml.

    Attributes:
        train_questions: file of train's questions; a relative one is looked for in the data folder first.
        train_annotations: of their answers.
        valid_questions: of validation; None: by `valid_share`.
        valid_annotations: of their answers.
        test_questions: of test.
        test_annotations: of their answers; None: nobody published them, as of the official test split.
        images: folder or tar of images named by COCO's rule; or None, with `features`.
        features: npz or HDF5 file, or one a split in the order train, validation, test.
        image_size: height of an image as the network sees it, pixels.
        image_width: its width; None: as its height.
        valid_share: of train's images, which validation has to itself where it has no files.
        seed: of which those are.
        answers: so many of the most frequent answers of train are the classes; None: all.
        answers_min_count: answers rarer than this in train are no class.
        words_min_count: words rarer than this in train are unknown.
        bad_questions: ``skip`` counts and names them in the record, ``refuse`` ends with the first.
        cache_dir: where decoded images are kept; None: the user's cache folder.
        sha256: of all files, when it was planned; None: whatever is there.
        redistributable: whether their owner allows images and questions to be passed on; decides nothing of a run.
    """

    name: Literal["vqa_v2"] = "vqa_v2"
    train_questions: str = "vqa-v2/v2_OpenEnded_mscoco_train2014_questions.json"
    train_annotations: str = "vqa-v2/v2_mscoco_train2014_annotations.json"
    valid_questions: str | None = None
    valid_annotations: str | None = None
    test_questions: str = "vqa-v2/v2_OpenEnded_mscoco_val2014_questions.json"
    test_annotations: str | None = "vqa-v2/v2_mscoco_val2014_annotations.json"
    images: str | None = None
    features: tuple[str, ...] = ()
    image_size: int = bounded(64, minimum=8, below=1_025)
    image_width: int | None = bounded(None, minimum=8, below=1_025)
    valid_share: float = bounded(0.1, minimum=0.001, below=0.9)
    seed: int = bounded(0, minimum=0)
    answers: int | None = bounded(3_000, minimum=1)
    answers_min_count: int = bounded(1, minimum=1)
    words_min_count: int = bounded(1, minimum=1)
    bad_questions: Bad = "refuse"
    cache_dir: str | None = None
    sha256: str | None = None
    redistributable: bool = False


@dataclass(frozen=True)
class ImageQa:
    """Images and questions of the user's own, DAQUAR or NLVR; see conf/data/image_qa.yaml.

    Attributes:
        path: of a CSV file, of DAQUAR's folder, or of NLVR's folder or tar; relative: in the data folder first.
        format: ``csv``; ``daquar`` (Malinowski & Fritz 2014); ``nlvr`` (Suhr et al. 2017).
        images: folder or tar of the images; None: beside the questions.
        train: what train is called there.
        valid: what validation is called there; where no question is, it has images of train by `valid_share`.
        test: what test is called there; a CSV without a column ``split`` is split by `valid_share` and `test_share`.
        valid_share: of the images.
        test_share: of the images.
        the others: as those of `VqaV2`.
    """

    path: str
    name: Literal["image_qa"] = "image_qa"
    format: Format = "csv"
    images: str | None = None
    train: tuple[str, ...] = ("train",)
    valid: tuple[str, ...] = ("valid", "val", "dev")
    test: tuple[str, ...] = ("test",)
    image_size: int = bounded(64, minimum=8, below=1_025)
    image_width: int | None = bounded(None, minimum=8, below=1_025)
    valid_share: float = bounded(0.1, minimum=0.001, below=0.9)
    test_share: float = bounded(0.1, minimum=0.001, below=0.9)
    seed: int = bounded(0, minimum=0)
    answers: int | None = bounded(1_000, minimum=1)
    answers_min_count: int = bounded(1, minimum=1)
    words_min_count: int = bounded(1, minimum=1)
    bad_questions: Bad = "refuse"
    cache_dir: str | None = None
    sha256: str | None = None
    redistributable: bool = False


DataSettings = ShapesQA | EasyVqa | VqaV2 | ImageQa

SOURCES: dict[str, type[DataSettings]] = {
    "shapes_qa": ShapesQA,
    "easy_vqa": EasyVqa,
    "vqa_v2": VqaV2,
    "image_qa": ImageQa,
}
DATA_NAMES = tuple(SOURCES)


def read_data(data: Mapping[str, Any]) -> DataSettings:
    """Return the checked settings of a resolved configuration's `data`.

    Raises:
        CellwiseError: an unknown source or key, or a value that is not allowed.
    """
    name = data.get("name")
    if name not in SOURCES:
        raise unknown("data", str(name), SOURCES, "of task=vqa")
    settings = parse(SOURCES[name], data, "data")
    _require_sense(settings)
    return settings


def pin_data(data: Mapping[str, Any], data_dir: str | None = None) -> dict[str, Any]:
    """Return the data's configuration, files of the user's own with their checksum and whole paths.

    Raises:
        CellwiseError: an unknown key, a value that is not allowed, or files that can't be read.
    """
    settings = read_data(data)
    if not isinstance(settings, VqaV2 | ImageQa) or settings.sha256:
        return dict(data)
    from cellwise.tasks.vqa.files import checksum_of, named_files

    files = named_files(settings, data_dir)
    # Absolute where it is none of the data folder's: a run that is repeated from another folder finds its files.
    found: dict[str, Any] = {}
    for key, places in files.items():
        paths = [place.text if place.in_data_folder else os.path.abspath(place.path) for place in places]
        found[key] = paths if isinstance(getattr(settings, key), tuple) else paths[0]
    return {**data, **found, "sha256": checksum_of(settings, files)}


def build_questions(settings: DataSettings, data_dir: str | None = None) -> Mapping[Split, Questions]:
    """Return the questions of each split.

    Args:
        settings: as `read_data` gives them.
        data_dir: where data sets are looked for; see `cellwise.data.get.data_folder`.

    Raises:
        CellwiseError: data that are missing, altered, of another form or none, or a package that only an extra
            installs.
    """
    if isinstance(settings, ShapesQA):
        from cellwise.tasks.vqa.shapes_qa import draw_questions

        return draw_questions(settings)
    if isinstance(settings, EasyVqa):
        from cellwise.tasks.vqa.easy_vqa import read_easy_vqa

        return read_easy_vqa(settings, data_dir)
    if isinstance(settings, VqaV2):
        from cellwise.tasks.vqa.vqa_v2 import read_vqa_v2

        return read_vqa_v2(settings, data_dir)
    from cellwise.tasks.vqa.image_qa import read_image_qa

    return read_image_qa(settings, data_dir)


def image_shape_of(settings: DataSettings) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of an image; None for features."""
    if isinstance(settings, ShapesQA):
        return (3, settings.size, settings.size) if settings.images == "pixels" else None
    if isinstance(settings, EasyVqa):
        return 3, settings.image_size, settings.image_size
    if isinstance(settings, VqaV2) and settings.features:
        return None
    return 3, settings.image_size, settings.image_width or settings.image_size


def _require_sense(data: DataSettings) -> None:
    if isinstance(data, ShapesQA):
        for low, high in (("objects_min", "objects_max"), ("words_min", "words_max")):
            if getattr(data, high) < getattr(data, low):
                raise CellwiseError(f"data.{high}={getattr(data, high)} is less than data.{low}={getattr(data, low)}")
        if data.compositional + data.relational > 1:
            raise CellwiseError(
                f"data.compositional={data.compositional:g} and data.relational={data.relational:g} are shares; "
                "together they must be 1 or less"
            )
    if isinstance(data, VqaV2):
        if bool(data.images) == bool(data.features):
            raise CellwiseError(
                "data=vqa_v2 needs either data.images=FOLDER or data.features=FILE.npz"
                + (", not both" if data.images else "")
            )
        if len(data.features) not in (0, 1, 3):
            raise CellwiseError(f"data.features names {len(data.features)} files; give one, or one for each split")
        if bool(data.valid_questions) != bool(data.valid_annotations):
            raise CellwiseError("data.valid_questions and data.valid_annotations belong together; give both or none")
    if isinstance(data, ImageQa) and data.valid_share + data.test_share >= 1:
        raise CellwiseError("data.valid_share and data.test_share together leave nothing to train on")
