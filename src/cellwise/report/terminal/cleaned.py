"""What `cellwise clean` says: the room that was made, what it costs, and what was left alone."""

from __future__ import annotations

from cellwise.records.clean import Cleaned


def cleaned_lines(cleaned: Cleaned, *, keep_selected: bool, dry_run: bool) -> list[str]:
    """Return the lines.

    Args:
        cleaned: what was removed.
        keep_selected: whether the selected weights stayed.
        dry_run: whether nothing was removed.
    """
    runs = f"{cleaned.runs} finished run" + ("s" if cleaned.runs != 1 else "")
    freed = "would free" if dry_run else "freed"
    lines = [f"{freed} {_size(cleaned.bytes)}: {cleaned.files} checkpoints of {runs}"]
    if cleaned.files:
        lost = "extend" if keep_selected else "extend, evaluate, export"
        no_longer = "would no longer be" if dry_run else "no longer"
        lines.append(f"{no_longer} possible for them: {lost}; still possible: report, status, rerun")
    return lines + [f"left alone: {line}" for line in cleaned.left]


def _size(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
