"""The live page served by a thread of the test, and asked as no browser asks: each byte of a request is the test's."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from cellwise.report.live.hosts import OurHosts, listen
from cellwise.report.live.watch import Watched, quiet, watch_app


@dataclass(frozen=True)
class Answer:
    """What came back; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The content as text."""
        return self.content.decode()

    def json(self) -> Any:
        """The content as JSON."""
        return json.loads(self.content)


@dataclass(frozen=True)
class Served:
    """A server at a port of this machine."""

    port: int

    @property
    def address(self) -> str:
        """What a browser is given."""
        return f"http://127.0.0.1:{self.port}/"

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask for a path as it stands; ``if_none_match=...`` is a header, ``host=""`` leaves that one out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"host": f"127.0.0.1:{self.port}", **headers}.items():
                if value:
                    connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()


def soon(ask: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 60.0) -> Any:
    """Return the first answer that is as wanted, or the last: on a busy machine a look takes its time."""
    deadline = time.monotonic() + seconds
    answer = ask()
    while not wanted(answer) and time.monotonic() < deadline:
        time.sleep(0.05)
        answer = ask()
    return answer


@contextmanager
def served(folder: Path, host: str = "127.0.0.1") -> Iterator[Served]:
    """Serve a folder while the block runs; ``host`` is what the server believes to be."""
    with listen("127.0.0.1", 0) as listening:
        server = uvicorn.Server(quiet(watch_app(Watched(folder, rest=0.05, poll=0.2), OurHosts(host))))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Served(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
