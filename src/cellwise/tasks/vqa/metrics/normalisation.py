"""How the official script of VQA brings two spellings of an answer together, oddities kept.

Source: GT-Vision-Lab/VQA, `vqaEval.py` at commit a013f004, run by Python 2.7. These are its rules, found out by running
it; scores of papers are made by them, so nothing is mended: "N/A" becomes "n", "none" becomes "0", "t-shirt" becomes
"t shirt", and of 40 periods 8 stay.

Differences: none but for blanks and letters that Unicode named after version 5.2, which is Python 2.7's.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"[0-9],[0-9]")  # Python 2.7's \d is these ten digits
_PERIOD = re.compile(r"\.(?![0-9])")  # the script looks behind, too, but misspells it, so that never hinders
_MOST_PERIODS = 32  # the script gives re.UNICODE, which is 32, where `sub` expects how many

_ARTICLES = frozenset({"a", "an", "the"})
_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_COUNTED)}}

_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _with_one_apostrophe_missing(word: str) -> list[str]:
    return [word[:place] + word[place + 1 :] for place, letter in enumerate(word) if letter == "'"]


_MENDED = {wrong: right for right in _CONTRACTED.split() for wrong in _with_one_apostrophe_missing(right)}
_MENDED["somebody'd"] = "somebodyd"  # the one entry that the script has the wrong way round


def stripped(answer: str) -> str:
    """Return an answer on one line, without blanks around it: all that is done where all people agree."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(maxsize=1 << 17)  # about all distinct answers of VQA v2's training split
def normalised(answer: str) -> str:
    """Return a stripped answer as it is compared where people do not all agree."""
    words = (_DIGITS.get(word, word) for word in _lower(_without_punctuation(answer)).split())
    return " ".join(_MENDED.get(word, word) for word in words if word not in _ARTICLES)


def _without_punctuation(answer: str) -> str:
    """Remove each mark that touches a blank anywhere, or all where a comma parts digits; a blank for each other one."""
    all_go = _DIGIT_COMMA_DIGIT.search(answer) is not None
    found = answer
    for mark in _PUNCTUATION:
        if mark in answer:
            goes = all_go or f"{mark} " in answer or f" {mark}" in answer
            found = found.replace(mark, "" if goes else " ")
    return _PERIOD.sub("", found, count=_MOST_PERIODS)


def _lower(text: str) -> str:
    """Lower each letter by itself, as Python 2.7 did: no final sigma, and a dotted capital I becomes one letter."""
    return text.lower() if text.isascii() else "".join(letter.lower()[0] for letter in text)
