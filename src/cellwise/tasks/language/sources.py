"""The texts a language model is trained on: three official sets and the user's own.

Counts are those of the publishers' files: Penn Treebank in Mikolov's preprocessing (Zaremba et al. 2014,
arXiv:1409.2329), WikiText-2 (Merity et al. 2016, arXiv:1609.07843), The Time Machine as "Dive into Deep
Learning" cleans it (https://d2l.ai). They are asserted whenever a set is loaded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cellwise.data.get import DataFile, DataSet, find, read_bytes, unpacked
from cellwise.errors import CellwiseError

Level = Literal["word", "character"]
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class RawText:
    """Text as it was read, before it is cut into tokens.

    Attributes:
        name: of the set, or of the user's file or folder; for messages.
        parts: ``train``, ``valid`` and ``test``, or the single part ``text``, which is still to be split.
        checksums: file to SHA-256 of its uncompressed content.
        mark_line_ends: whether a line end is a token, ``<eos>``.
    """

    name: str
    parts: Mapping[str, str]
    checksums: Mapping[str, str]
    mark_line_ends: bool = True

    @property
    def sha256(self) -> str:
        """The checksum of the whole text, wherever it lies and whatever its files are called."""
        digest = hashlib.sha256()
        for part, text in self.parts.items():
            digest.update(f"{part}\0{len(text)}\0{text}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class OfficialText:
    """A published text with the counts everyone must find in it.

    Attributes:
        dataset: address, licence and files, in the order train, valid, test; or one file, still to be split.
        tokens: level to part to number of tokens; a level that is not listed has no published count.
        types: level to number of distinct tokens in ``train``, or in the single text.
        mark_line_ends: whether a line end is a token, ``<eos>``.
        clean_line: what is done to each line first.
    """

    dataset: DataSet
    tokens: Mapping[Level, Mapping[str, int]]
    types: Mapping[Level, int]
    mark_line_ends: bool = True
    clean_line: Callable[[str], str] | None = None


def letters_only(line: str) -> str:
    """Clean a line as d2l does: anything but ASCII letters becomes one blank; lower case; no outer blanks."""
    return re.sub("[^A-Za-z]+", " ", line).strip().lower()


OFFICIAL: dict[str, OfficialText] = {
    "ptb": OfficialText(
        DataSet(
            name="ptb",
            description="Penn Treebank, Wall Street Journal words, Mikolov's preprocessing, 10,000 types",
            licence="LDC user agreement (source: LDC99T42); may not be redistributed",
            address="http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz",
            files=(
                DataFile(
                    "ptb/ptb.train.txt",
                    "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
                    "simple-examples/data/ptb.train.txt",
                ),
                DataFile(
                    "ptb/ptb.valid.txt",
                    "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
                    "simple-examples/data/ptb.valid.txt",
                ),
                DataFile(
                    "ptb/ptb.test.txt",
                    "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
                    "simple-examples/data/ptb.test.txt",
                ),
            ),
            redistributable=False,
        ),
        tokens={"word": {"train": 929_589, "valid": 73_760, "test": 82_430}},
        types={"word": 10_000},
    ),
    "wikitext2": OfficialText(
        DataSet(
            name="wikitext2",
            description="WikiText-2, words of good and featured Wikipedia articles, 33,278 types",
            licence="CC BY-SA (Wikipedia text)",
            # The author's mirror; the original, s3.amazonaws.com/research.metamind.io/wikitext, is often
            # offline.
            address="https://wikitext.smerity.com/wikitext-2-v1.zip",
            files=(
                DataFile(
                    "wikitext-2/train.txt",
                    "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
                    "wikitext-2/wiki.train.tokens",
                ),
                DataFile(
                    "wikitext-2/valid.txt",
                    "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
                    "wikitext-2/wiki.valid.tokens",
                ),
                DataFile(
                    "wikitext-2/test.txt",
                    "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
                    "wikitext-2/wiki.test.tokens",
                ),
            ),
        ),
        tokens={"word": {"train": 2_088_628, "valid": 217_646, "test": 245_569}},
        types={"word": 33_278},
    ),
    "timemachine": OfficialText(
        DataSet(
            name="timemachine",
            description="The Time Machine by H. G. Wells, one short text, letters only",
            licence="public domain",
            address="http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
            files=(
                DataFile(
                    "timemachine/timemachine.txt",
                    "8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
                ),
            ),
        ),
        tokens={"word": {"text": 32_775}, "character": {"text": 170_580}},
        types={"word": 4_579, "character": 27},
        mark_line_ends=False,
        clean_line=letters_only,
    ),
}


def read_official(official: OfficialText, folder: Path) -> RawText:
    """Read and verify a published text.

    Raises:
        CellwiseError: a file is missing, truncated or altered.
    """
    dataset = official.dataset
    names = SPLITS if len(dataset.files) == len(SPLITS) else ("text",)
    parts = {}
    for name, file in zip(names, dataset.files, strict=True):
        text = read_bytes(dataset, file, folder).decode("utf-8")
        if official.clean_line is not None:
            text = "\n".join(official.clean_line(line) for line in text.split("\n"))
        parts[name] = text
    checksums = {file.path: file.sha256 for file in dataset.files}
    return RawText(dataset.name, parts, checksums, official.mark_line_ends)


def read_own(path: str) -> RawText:
    """Read the user's own text; files may be plain or gzipped.

    Args:
        path: of a file, or of a folder that has ``train.txt``, ``valid.txt`` and ``test.txt``.

    Raises:
        CellwiseError: nothing there, a missing split, text that is empty or not UTF-8.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        files = {split: find(f"{split}.txt", place) for split in SPLITS}
        missing = ", ".join(f"{split}.txt" for split, file in files.items() if file is None)
        if missing:
            raise CellwiseError(
                f"{place} lacks {missing}; a text folder needs train.txt, valid.txt and test.txt, "
                f"or give the path of one file, which is split 90/5/5"
            )
    else:
        files = {"text": find(place.name, place.parent)}
        if files["text"] is None:
            raise CellwiseError(
                f"no text at {place}; give a UTF-8 text file, or a folder with train.txt, valid.txt and test.txt"
            )
    parts, checksums = {}, {}
    for part, file in files.items():
        assert file is not None  # refused above
        content = unpacked(file)
        parts[part] = _decode(content, file)
        checksums[file.name.removesuffix(".gz")] = hashlib.sha256(content).hexdigest()
    return RawText(str(place), parts, checksums)


def _decode(content: bytes, file: Path) -> str:
    try:
        text = content.decode("utf-8-sig")  # a byte order mark is no character of the text
    except UnicodeDecodeError as error:
        raise CellwiseError(
            f"{file} is not UTF-8: byte 0x{content[error.start]:02x} at position {error.start}; "
            f"convert it, for example with `iconv -f latin1 -t utf-8`"
        ) from error
    if not text.strip():
        raise CellwiseError(f"{file} is empty; a language model needs text with at least a few hundred tokens")
    return text.replace("\r\n", "\n").replace("\r", "\n")
