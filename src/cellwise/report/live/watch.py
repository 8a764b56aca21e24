"""`cellwise watch`: the page of a study, or of a folder of studies, served while runs write.

Read by browsers on this machine alone unless told otherwise; there is no password. What is served is made from records
and from files of this package: no path that a browser sends reaches the file system.
"""

from __future__ import annotations

import hashlib
import webbrowser
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from cellwise.compare.comparable import Ground, read_grounds
from cellwise.errors import CellwiseError
from cellwise.report.live.hosts import LOCAL, OurHosts, listen
from cellwise.report.live.live import LEAST_REST_SECONDS, Live, LiveIndex, LiveStudy, is_study, studies_of
from cellwise.report.page import page_script, template

WAIT_SECONDS = 20.0
"""How long the first request waits for the first look; while there is something to show, nobody waits long."""

SHORT_WAIT_SECONDS = 2.0
POLL_SECONDS = 2.0

_KINDS = {".css": "text/css", ".js": "text/javascript"}

# The page's own scripts alone run, and talk to this server alone. Plotly writes style elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Endpoint: TypeAlias = Callable[[Request], Response]


@dataclass
class Watched:
    """What is watched: a study, or the studies of a folder; which of the two is seen anew at each request.

    Args:
        folder: that was named.
        across: what runs may differ in and be compared all the same.
        rest: least seconds between two looks at a study.
        poll: seconds between two questions of a browser.
    """

    folder: Path
    across: Collection[Ground] = ()
    rest: float = LEAST_REST_SECONDS
    poll: float = POLL_SECONDS
    _live: dict[Path, LiveStudy] = field(default_factory=dict)
    _index: LiveIndex | None = None

    def top(self) -> Live:
        """Return what is shown at the top: of a folder that is gone, what was shown before."""
        known = self.folder in self._live and not self.folder.is_dir()
        if known or is_study(self.folder):
            return self._study(self.folder)
        self._index = self._index or LiveIndex(self.folder, self.rest)
        return self._index

    def study(self, name: str) -> Live | None:
        """Return a study of the folder; None where no such study is listed."""
        known = {path.name: path for path in self._live if path != self.folder}
        try:
            path = studies_of(self.folder).get(name)
        except OSError:
            path = None
        path = path or known.get(name)  # one that has vanished is shown as it was
        return None if path is None else self._study(path)

    def _study(self, path: Path) -> LiveStudy:
        return self._live.setdefault(path, LiveStudy(path, self.across, self.rest))


def watch_app(watched: Watched, hosts: OurHosts) -> Starlette:
    """Return the application.

    Args:
        watched: the folder.
        hosts: the names that it answers to.
    """

    def live(request: Request) -> Live:
        name = request.path_params.get("name")
        found = watched.top() if name is None else watched.study(name)
        if found is None:
            raise HTTPException(404, "no such study here")
        return found

    def page(request: Request) -> Response:
        live(request)
        up = "name" in request.path_params
        return _html(
            template("live.html.j2").render(base="../../" if up else "", up=up, poll=round(1000 * watched.poll))
        )

    def current(request: Request) -> Response:
        shown = live(request)
        state = shown.latest(SHORT_WAIT_SECONDS if shown.has_state else WAIT_SECONDS)
        if state is None:
            return Response(status_code=202)
        return _tagged(request, state.body, state.tag, "application/json")

    def figure(request: Request) -> Response:
        found = live(request).figure(request.path_params["digest"])
        if found is None:
            raise HTTPException(404, "no such figure now")
        # Its address says what is in it, so it never changes.
        return Response(found, media_type="application/json", headers={"Cache-Control": "max-age=3600, immutable"})

    def to_the_page(request: Request) -> Response:
        live(request)
        return RedirectResponse(f"{request.url.path.rpartition('/')[2]}/", 308)

    routes = [
        *(Route(f"/static/{name}", _file(name, content)) for name, content in _static().items()),
        *_routes("", page, current, figure),
        *_routes("/study/{name}", page, current, figure),
        Route("/study/{name}", to_the_page),
    ]
    every: dict[int | type[Exception], Callable[..., Response]] = {HTTPException: _refused, Exception: _broken}
    app = Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)], exception_handlers=every)
    app.router.redirect_slashes = False
    return app


def serve(
    folder: Path, host: str = LOCAL, port: int | None = None, across: str = "", *, open_browser: bool = False
) -> None:
    """Serve a folder's page until Ctrl-C; print where it is.

    Args:
        folder: of a study, or of studies.
        host: a name or an address of this machine.
        port: 0 for a free one; None: the first free one of a few.
        across: what runs may differ in and be compared all the same, comma-separated.
        open_browser: whether to show it at once.

    Raises:
        CellwiseError: no such folder, or nowhere to listen.
    """
    grounds = read_grounds(across)
    if not folder.is_dir():
        raise CellwiseError(
            f"no folder {folder} to watch; give a study's, for example runs/demo, or the one that holds them, runs"
        )
    hosts = OurHosts(host)
    with listen(host, port) as listening:
        address = hosts.address(listening.getsockname()[1])
        if not hosts.are_local:
            print("Others on your network can read these runs: there is no password.")
        print(f"Watching {folder} at {address} (Ctrl-C ends it)", flush=True)
        if open_browser:
            webbrowser.open(address)
        app = watch_app(Watched(folder, grounds), hosts)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(quiet(app)).run(sockets=[listening])
    print("Watching has ended.")


def quiet(app: Starlette) -> uvicorn.Config:
    """Return how the application is served: nothing is logged, what fails is answered or shown on the page."""
    more: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off", "ws": "none"}
    return uvicorn.Config(app, server_header=False, timeout_graceful_shutdown=1, **more)


def _routes(at: str, page: Endpoint, current: Endpoint, figure: Endpoint) -> list[Route]:
    return [Route(f"{at}/", page), Route(f"{at}/state", current), Route(f"{at}/figures/{{digest}}", figure)]


class Guard:
    """Refuses requests that are for another host, and puts the headers on every answer.

    A page of another site can have its name point to this machine and then read what a server here says to that name
    (DNS rebinding); the browser sends the name along.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], hosts: OurHosts):
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:  # type: ignore[type-arg]
        """Answer, or let the application answer."""
        if scope["type"] != "http":
            return

        async def with_headers(message: dict) -> None:  # type: ignore[type-arg]
            if message["type"] == "http.response.start":
                more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        asked = [value for name, value in scope["headers"] if name == b"host"]
        app = self._app
        if len(asked) != 1 or not self._hosts.are(asked[0].decode("latin-1")):
            app = PlainTextResponse("cellwise watch does not answer to this name; see --host\n", 421)
        await app(scope, receive, with_headers)


def _static() -> dict[str, bytes]:
    """The files of the page by name: all that is served beside what is made of records."""
    here = resources.files("cellwise.report")
    return {
        **{name: (here / name).read_bytes() for name in ("page.css", "live.css")},
        **{name: (here / "script" / name).read_bytes() for name in ("patch.js", "live.js")},
        "page.js": f'"use strict";\n(() => {{\n{page_script()}\n}})();\n'.encode(),
        "plotly.js": (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes(),
    }


def _file(name: str, content: bytes) -> Endpoint:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return lambda request: _tagged(request, content, tag, _KINDS[Path(name).suffix])


def _tagged(request: Request, content: bytes, tag: str, kind: str) -> Response:
    """The content, or no more than that it has not changed."""
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def _html(content: str) -> Response:
    return Response(content, media_type="text/html", headers={"Cache-Control": "no-cache"})


def _refused(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)


def _broken(request: Request, error: Exception) -> Response:
    return PlainTextResponse("cellwise watch could not answer\n", 500)
