"""Where the live page listens, and to which names it answers."""

from __future__ import annotations

import socket

import pytest

from cellwise.errors import CellwiseError
from cellwise.report.live.hosts import OurHosts, listen

LOCAL = [
    "localhost",
    "localhost:8008",
    "LOCALHOST:1",
    "127.0.0.1",
    "127.0.0.1:8008",
    "127.1.2.3",
    "[::1]",
    "[::1]:8008",
]
NEVER = ["", "evil.example", "evil.example:8008", "localhost.evil.example", "127.0.0.1.evil.example", "::1", "[::1",
         "localhost:port", "localhost:8008:1", "a@localhost", "localhost/", "local host", "[evil.example]"]  # fmt: skip


@pytest.mark.parametrize("asked", LOCAL)
def test_a_server_of_this_machine_answers_to_its_names(asked: str) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.9"):
        assert OurHosts(host).are(asked)
        assert OurHosts(host).are_local


@pytest.mark.parametrize("asked", [*NEVER, "192.168.1.7", "192.168.1.7:8008", "[fe80::1]", socket.gethostname()])
def test_and_to_no_others(asked: str) -> None:
    assert not OurHosts("127.0.0.1").are(asked)


def test_a_server_for_others_answers_to_addresses_and_to_its_own_name_alone() -> None:
    for host in ("0.0.0.0", "::", "", "192.168.1.7", "box.lan"):
        ours = OurHosts(host)
        assert not ours.are_local
        for asked in ("192.168.1.7:8008", "[fe80::1]:8008", socket.gethostname(), "localhost:8008"):
            assert ours.are(asked)
        for asked in NEVER:
            assert not ours.are(asked)
    assert OurHosts("box.lan").are("BOX.lan:8008")
    assert not OurHosts("0.0.0.0").are("box.lan")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8008/"),
        ("::1", "http://[::1]:8008/"),
        ("0.0.0.0", "http://127.0.0.1:8008/"),
        ("box.lan", "http://box.lan:8008/"),
    ],
)
def test_the_address_can_be_typed_into_a_browser(host: str, address: str) -> None:
    assert OurHosts(host).address(8008) == address


def test_a_port_that_is_taken_is_one_line_and_without_a_wish_the_next_is_tried() -> None:
    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None) as second:
        taken = first.getsockname()[1]
        assert taken != second.getsockname()[1]
        with pytest.raises(CellwiseError, match=f"port {taken} of 127.0.0.1 is in use; type --port 0 for a free one"):
            listen("127.0.0.1", taken)
    with listen("127.0.0.1", 0) as free:
        assert free.getsockname()[1] > 0


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_host_that_is_none_of_this_machine_is_one_line(host: str) -> None:
    with pytest.raises(CellwiseError, match=f"can't listen at {host}:0: .*; leave out --host") as caught:
        listen(host, 0)
    assert "\n" not in str(caught.value)
