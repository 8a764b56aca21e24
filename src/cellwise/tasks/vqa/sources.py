"""The data sets of visual question answering that are fetched, declared without importing torch.

Nobody publishes checksums of VQA v2's files, and we have not seen them: none are given, and their official numbers of
questions are what a run compares them with. Images are COCO's (13 GB; https://cocodataset.org), or features of them.
easy-VQA comes with a package of that name.
"""

from __future__ import annotations

from cellwise.data.get import DataFile, DataSet

_MIRROR = "https://s3.amazonaws.com/cvmlp/vqa/mscoco/vqa"  # what https://visualqa.org/download.html links to
_LICENCE = "CC BY 4.0; the images: terms of Flickr's users"

OFFICIAL_QUESTIONS = {
    "v2_OpenEnded_mscoco_train2014_questions.json": 443_757,
    "v2_OpenEnded_mscoco_val2014_questions.json": 214_354,
    "v2_OpenEnded_mscoco_test2015_questions.json": 447_793,
}
"""Questions of each official file (https://visualqa.org, "VQA v2")."""


def _vqa_v2(split: str, what: str, member: str, description: str) -> DataSet:
    return DataSet(
        name=f"vqa_v2_{split}_{what}",
        description=f"VQA v2, {description}",
        licence=_LICENCE,
        address=f"{_MIRROR}/v2_{what.title()}_{split.title()}_mscoco.zip",
        files=(DataFile(f"vqa-v2/{member}", "", member),),
    )


DATA_SETS = {
    dataset.name: dataset
    for dataset in (
        _vqa_v2("train", "questions", "v2_OpenEnded_mscoco_train2014_questions.json", "443,757 questions about images"),
        _vqa_v2("train", "annotations", "v2_mscoco_train2014_annotations.json", "ten people's answers to each of them"),
        _vqa_v2("val", "questions", "v2_OpenEnded_mscoco_val2014_questions.json", "214,354 questions about images"),
        _vqa_v2("val", "annotations", "v2_mscoco_val2014_annotations.json", "ten people's answers to each of them"),
    )
}
