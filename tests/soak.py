"""Two hundred short runs under fire: `make soak` (about ten minutes).

The same sweep twice: once undisturbed, once by two launchers while runs, fork servers and launchers are killed and
interrupted at random moments, and the same command is typed again until it ends well. Nothing may be lost, nothing be
done twice, and every row and summary must equal the undisturbed one's.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from cellwise.records.plain import read_json
from cellwise.records.store import read_metrics
from cellwise.sweep.plan import plan

MEASURED = {"seconds", "train_seconds", "throughput", "peak_memory_bytes"}
SWEEP = (
    *("cell=lstm,gru,peephole_lstm,rnn", "task=memory", "data.length=10", "data.train_sequences=400"),
    *("data.valid_sequences=40", "data.test_sequences=40", "task.batch_size=4", "network.hidden_size=8"),
    *("network.dropout=0.2", "network.num_layers=2", "trainer.max_epochs=2", "trainer.validate_every_steps=30"),
    *("trainer.log_every_steps=5", "trainer.threads=1", "trainer.checkpoint_every_seconds=0.2"),
)
# What may happen to whom, and how often in comparison.
BLOWS = (
    *((("run", signal.SIGKILL),) * 8),
    *((("run", signal.SIGTERM),) * 2),
    ("launcher", signal.SIGKILL),
    ("launcher", signal.SIGINT),
    ("fork server", signal.SIGKILL),
)


class Launcher:
    """The user: types the command, and types it again when it did not end well."""

    def __init__(self, words: Sequence[str], output: Path):
        self.command = [sys.executable, "-m", "cellwise.cli", "train", "-m", "--jobs", "1", *words]
        self.output, self.typed = output, 0
        self.type()

    def type(self) -> None:
        with open(self.output, "a", encoding="utf-8") as out:
            self.process = subprocess.Popen(self.command, stdout=out, stderr=subprocess.STDOUT)
        self.typed += 1

    def ended_well(self) -> bool:
        """Whether all is done; types again where it is not."""
        code = self.process.poll()
        if code is not None and code != 0:
            self.type()
        return code == 0

    def targets(self) -> dict[str, list[psutil.Process]]:
        """The living processes of this launcher, by what they are."""
        found: dict[str, list[psutil.Process]] = {"launcher": [], "fork server": [], "run": []}
        try:
            launcher = psutil.Process(self.process.pid)
            servers = [child for child in launcher.children() if "forkserver" in " ".join(child.cmdline())]
            found = {"launcher": [launcher], "fork server": servers, "run": []}
            found["run"] = [run for server in servers for run in server.children()]
        except psutil.Error:
            pass
        return found


def disturbed(words: Sequence[str], folder: Path, chance: random.Random, pause: tuple[float, float]) -> Counter[str]:
    """Run the sweep under fire until both launchers ended well; return what was done to it."""
    launchers = [Launcher(words, folder / f"launcher-{number}.txt") for number in range(2)]
    done: Counter[str] = Counter()
    while not all([launcher.ended_well() for launcher in launchers]):
        time.sleep(chance.uniform(*pause))
        whom, how = chance.choice(BLOWS)
        targets = chance.choice(launchers).targets()[whom]
        if targets:
            try:
                chance.choice(targets).send_signal(how)
            except psutil.Error:
                continue
            done[f"{whom} {how.name}"] += 1
    done["commands typed"] = sum(launcher.typed for launcher in launchers)
    return done


def result(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every row and the summary, without what is measured."""
    rows = [{k: v for k, v in row.items() if k not in MEASURED} for row in read_metrics(folder)]
    summary = read_json(folder / "summary.json")
    return rows, {k: v for k, v in summary.items() if k not in MEASURED}


def faults(whole: Sequence[Path], shot: Sequence[Path], outputs: Sequence[Path]) -> list[str]:
    """What is lost, done twice, or other than in the undisturbed sweep."""
    found = []
    told = Counter(
        line.split()[1] + line.split()[3]
        for path in outputs
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"finished +\S+ seed \d+ ", line)
    )
    found += [f"done twice: {run}" for run, times in told.items() if times > 1]
    for a, b in zip(whole, shot, strict=True):
        name = f"{b.parent.name}/{b.name}"
        if not (b / "summary.json").exists():
            found.append(f"lost: {name}")
        elif result(a) != result(b):
            found.append(f"differs: {name}")
        if list(b.parent.glob(f"{b.name}.replaced-*")):
            found.append(f"done twice: {name}")
        found += [f"half a file left: {path.relative_to(b.parents[1])}" for path in b.rglob(".*.tmp")]
    return found


def main() -> None:
    """Soak, print figures, exit 1 on any fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, nargs=2, default=(0.5, 2.0), help="seconds between two blows")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        words = [*SWEEP, f"seed=range({-(-given.runs // 4)})", "study=soak"]
        began = time.monotonic()
        undisturbed = [sys.executable, "-m", "cellwise.cli", "train", "-m", *words, f"runs_dir={here / 'whole'}"]
        subprocess.run(undisturbed, check=True, stdout=subprocess.DEVNULL)
        whole = [run.folder for run in plan([*words, f"runs_dir={here / 'whole'}"])]
        print(f"undisturbed: {len(whole)} runs in {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        done = disturbed([*words, f"runs_dir={here / 'shot'}"], here, random.Random(given.seed), tuple(given.pause))
        shot = [run.folder for run in plan([*words, f"runs_dir={here / 'shot'}"])]
        resumed = sum((path / "log.txt").read_text().count("goes on from step-") for path in shot)
        print(f"under fire: {time.monotonic() - began:.0f} s; {json.dumps(dict(sorted(done.items())))}")
        print(f"runs that went on from a checkpoint: {resumed} times")
        found = faults(whole, shot, sorted(here.glob("launcher-*.txt")))
    for line in found:
        print(line)
    print(f"{len(found)} faults in {len(whole)} runs")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
