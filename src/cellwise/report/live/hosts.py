"""Where `cellwise watch` listens, and the names under which it may be asked."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from cellwise.errors import CellwiseError

LOCAL = "127.0.0.1"
PORTS = range(8008, 8028)
"""Tried in turn where no port is asked for; any free one after that."""

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/\s]+)(:[0-9]{1,5})?")


@dataclass(frozen=True)
class OurHosts:
    """The names that a server answers to which listens at ``host``, a name or an address.

    An address never points elsewhere than it says, so a server that others may reach answers to every address.
    """

    host: str

    @property
    def are_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or _is_loopback(self.host)

    @property
    def are_all(self) -> bool:
        """Whether it listens at every address of this machine."""
        return self.host in ("", "0.0.0.0", "::")

    def are(self, asked: str) -> bool:
        """Whether the ``Host`` of a request, with or without its port, is one of them."""
        matched = _HOST.fullmatch(asked)
        if matched is None:
            return False
        name = matched["name"].strip("[]").lower().rstrip(".")
        if name in ("localhost", self.host.lower()) or _is_loopback(name):
            return True
        return not self.are_local and (_is_address(name) or name in _names_of_this_machine())

    def address(self, port: int) -> str:
        """Return what to type into a browser."""
        name = LOCAL if self.are_all else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or an address of this machine.
        port: 0 for a free one; None: the first free one of `PORTS`.

    Raises:
        CellwiseError: the port is taken, or the host is none of this machine.
    """
    for tried in [*PORTS, 0] if port is None else [port]:
        try:
            return _bound(host, tried)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            why = error.strerror or str(error)
            raise CellwiseError(f"can't listen at {host}:{tried}: {why}; leave out --host for this machine alone, or "
                                "give an address of it and a port above 1023") from error  # fmt: skip
    raise CellwiseError(f"port {port} of {host} is in use; type --port 0 for a free one")


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just ended is no hindrance
        found.bind(address)
        found.listen(128)
    except OSError:
        found.close()
        raise
    return found


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _names_of_this_machine() -> set[str]:
    return {name.lower() for name in (socket.gethostname(), socket.getfqdn())}
