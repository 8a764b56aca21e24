"""A run in a process of its own, forked from one that has torch imported already; what it is told, and tells."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

from cellwise.errors import CellwiseError
from cellwise.records.lease import BeingRunError
from cellwise.sweep.plan import PlannedRun

Status = Literal["finished", "skipped", "failed", "pruned"]
Said = Literal["finished", "skipped", "failed", "pruned", "busy"]  # busy: another process makes this run
GRACE_SECONDS = 5.0  # between asking a run to end and killing it: a step and a checkpoint


@dataclass
class Child:
    """A run's process, as its launcher sees it.

    Attributes:
        run: what it runs.
        place: the number of its place, 0 to jobs - 1.
        share: how far it is, 0 to 1.
        told: how it ended and its note, once that is known.
    """

    run: PlannedRun
    place: int
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    started: float = field(default_factory=time.monotonic)
    share: float = 0.0
    told: tuple[Said, str] | None = None
    heard: bool = False  # the pipe is at its end: nothing more will come

    @property
    def seconds(self) -> float:
        """For how long it has been running."""
        return time.monotonic() - self.started

    def listen(self) -> list[Mapping[str, Any]]:
        """Take all that it has said so far; returns the rows of metrics among it."""
        rows = []
        while not self.heard and self.pipe.poll():
            try:
                kind, value = self.pipe.recv()
            except (EOFError, OSError):
                self.heard = True
                break
            if kind == "row":
                self.share, row = value
                rows.append(row)
            else:
                self.told = (kind, value)
        return rows

    def ask_to_end(self) -> None:
        """Let it finish its step, write a checkpoint and close its mirror."""
        self.process.terminate()

    def kill(self, after_seconds: float) -> None:
        """End it, and all that it started, when it has not ended by itself in time."""
        self.process.join(timeout=max(0.0, after_seconds))
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid or 0, signal.SIGKILL)  # its own session: workers and other ranks of it
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def ending(self) -> str:
        """Say how a process ended that could not say so itself."""
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
        return f"its process ended with exit code {code} before the run was finished"


def start(run: PlannedRun, place: int, threads: int, environment: Mapping[str, str]) -> Child:
    """Start a run in a process of its own.

    Args:
        run: what to run.
        place: the number of its place.
        threads: its share of the cores.
        environment: variables to set there, for example CUDA_VISIBLE_DEVICES.
    """
    context = multiprocessing.get_context("forkserver")
    # The second is what compiles steps, a second to import; no need where nothing is compiled.
    compiler = [] if os.environ.get("CELLWISE_COMPILE") == "0" else ["torch._inductor.compile_fx"]
    context.set_forkserver_preload(["cellwise.training.train", *compiler])
    receiving, sending = context.Pipe(duplex=False)
    arguments = (run.config, threads, dict(environment), sys.argv, sending)
    process = context.Process(target=_run, args=arguments)  # not a daemon: those may not have workers of their own
    process.start()
    sending.close()
    return Child(run, place, process, receiving)


def _run(
    config: Mapping[str, Any], threads: int, environment: Mapping[str, str], argv: list[str], sending: Connection
) -> None:
    """One run, in its own process; tells the launcher how far it is and how it ended."""
    os.setsid()  # so that all that it starts can be ended with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the launcher, which ends its runs
    os.environ.update(environment)
    sys.argv = argv  # the record's command is what the user typed
    from cellwise.training.train import train  # imported already in the fork server

    def progress(share: float, row: Mapping[str, Any]) -> None:
        try:
            sending.send(("row", (share, row)))
        except OSError:  # nobody listens: the launcher was killed, and a run of nobody's ends like an interrupted one
            raise KeyboardInterrupt from None

    try:
        outcome = train(config, progress=progress, own_process=True, threads=threads)
        sending.send(("skipped" if outcome.skipped else "finished", outcome.note))
    except KeyboardInterrupt:
        sys.exit(1)
    except BeingRunError as error:
        sending.send(("busy", str(error)))
    except CellwiseError as error:
        sending.send(("failed", str(error)))
    except Exception as error:
        sending.send(("failed", " ".join(f"{type(error).__name__}: {error}".split())))
        raise
