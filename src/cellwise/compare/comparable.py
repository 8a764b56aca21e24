"""Which runs of one objective may be compared: those of the same data, the same budget and the same code.

Where seeds pair, each pair of runs must agree: generated data may differ from seed to seed, and code may have changed
between two seeds of every cell. What must not be compared is shown apart, with one line that says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cellwise.errors import unknown
from cellwise.records.store import RunRecord

Ground: TypeAlias = Literal["data", "budget", "code"]
Configuration: TypeAlias = tuple[str, str]
"""Cell and identity."""

GROUNDS: tuple[Ground, ...] = ("data", "budget", "code")
_MOST_NAMED = 4
_SAID: dict[Ground, str] = {
    "data": "the data that the runs read",
    "budget": "the budget",
    "code": "cellwise's own code",
}
# What of a configuration is a budget: the size of the layers, and how long they learn.
_BUDGET_OF_TRAINER = ("max_steps", "max_epochs")


@dataclass(frozen=True)
class Facts:
    """What the finished runs of a configuration ran on, by ground and seed."""

    configuration: Configuration
    by_seed: Mapping[Ground, Mapping[int, str]]


def read_grounds(typed: str) -> frozenset[Ground]:
    """Return the grounds that are typed, comma-separated: ``data,code``; none of an empty text.

    Raises:
        CellwiseError: one that is unknown.
    """
    words = [word.strip() for word in typed.split(",") if word.strip()]
    for word in words:
        if word not in GROUNDS:
            raise unknown("ground", word, GROUNDS, "runs that differ in it are compared all the same")
    return frozenset(ground for ground in GROUNDS if ground in words)


def facts_of(runs: Iterable[RunRecord]) -> list[Facts]:
    """Return the facts of each configuration that has finished runs, in the order of cell and identity."""
    members: dict[Configuration, list[RunRecord]] = {}
    for run in runs:
        if run.summary is not None:
            members.setdefault((run.cell, run.identity), []).append(run)
    return [_facts(configuration, members[configuration]) for configuration in sorted(members)]


def partition(facts: Sequence[Facts], across: Collection[Ground] = ()) -> list[list[Facts]]:
    """Return the configurations in classes whose members may all be compared with each other.

    Args:
        facts: of the configurations of one objective.
        across: what they may differ in.
    """
    classes: list[list[Facts]] = []
    asked = [ground for ground in GROUNDS if ground not in across]
    for one in facts:
        fitting = (c for c in classes if all(_alike(one, other, ground) for other in c for ground in asked))
        found = next(fitting, None)
        if found is None:
            classes.append([one])
        else:
            found.append(one)
    return classes


def what_sets_apart(members: Sequence[Facts], others: Sequence[Facts]) -> str:
    """Return in which grounds a class differs from others, with its own values: ``budget params:100k, code 1a2b``."""
    grounds = [g for g in GROUNDS if any(not _alike(one, other, g) for one in members for other in others)]
    return ", ".join(f"{ground} {_values(members, ground)}" for ground in grounds)


def differences(facts: Sequence[Facts], grounds: Iterable[Ground]) -> list[str]:
    """Return one line for each ground in which some of the configurations differ, with who has what."""
    lines = []
    for ground in grounds:
        classes = partition(facts, [other for other in GROUNDS if other != ground])
        if len(classes) > 1:
            who = "; ".join(f"{_values(members, ground)}: {_names(members)}" for members in classes[:_MOST_NAMED])
            more = f"; and {len(classes) - _MOST_NAMED} more" if len(classes) > _MOST_NAMED else ""
            lines.append(f"{_SAID[ground]} differ{'' if ground == 'data' else 's'} ({who}{more})")
    return lines


def _facts(configuration: Configuration, runs: Sequence[RunRecord]) -> Facts:
    known = {run.seed: run.info for run in runs if run.info is not None}
    # All settings but the seed are part of the identity, so any run that still has them will do.
    config = next((run.config for run in runs if run.config), {})
    trainer = config.get("trainer") or {}
    trained = {key: trainer[key] for key in _BUDGET_OF_TRAINER if trainer.get(key) is not None}
    sized = [str(config["budget"])] if config.get("budget") else []
    budget = " ".join([*sized, *(f"{key}={value}" for key, value in trained.items())]) or "none"
    return Facts(
        configuration,
        {
            "data": {seed: _text_of(info.data) for seed, info in known.items()},
            "budget": {run.seed: budget for run in runs},
            "code": {seed: info.code_sha256[:8] for seed, info in known.items()},
        },
    )


def _text_of(data: Mapping[str, str]) -> str:
    """The first file's name, how many more there are, and one short checksum over all of them."""
    names = sorted(data) or ["none"]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more} {hashlib.sha256(repr(sorted(data.items())).encode()).hexdigest()[:8]}"


def _alike(a: Facts, b: Facts, ground: Ground) -> bool:
    """Whether two configurations agree: at each seed that both have; where they share none, by what each of them is.

    What differs from seed to seed within a configuration follows the seed, and seeds that are not shared tell nothing.
    """
    first, second = a.by_seed[ground], b.by_seed[ground]
    shared = first.keys() & second.keys()
    if shared:
        return all(first[seed] == second[seed] for seed in shared)
    values = set(first.values()), set(second.values())
    return any(len(found) != 1 for found in values) or values[0] == values[1]


def _values(members: Sequence[Facts], ground: Ground) -> str:
    """What a class has, in short: one value, or how many."""
    found = sorted({value for one in members for value in one.by_seed[ground].values()})
    if len(found) == 1:
        return found[0]
    # Of data that differ from seed to seed in what is drawn of them, the name is the same.
    names = {value.rpartition(" ")[0] for value in found} if ground == "data" else set()
    return f"{names.pop()}, {len(found)} by seed" if len(names) == 1 else f"{len(found)} by seed"


def _names(members: Sequence[Facts]) -> str:
    names = sorted({cell for cell, _ in (one.configuration for one in members)})
    return ", ".join(names[:_MOST_NAMED]) + (
        f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    )
