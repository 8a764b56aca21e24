"""`cellwise watch` as a browser meets it: pages, states and figures, and nothing else of the machine."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellwise.cli import main
from cellwise.report.live.hosts import listen
from cellwise.report.live.watch import HEADERS
from tests.report.served import Served, served, soon


@pytest.fixture
def client(study_folder: Path) -> Iterator[Served]:
    """The study, served."""
    with served(study_folder) as found:
        yield found


def test_the_page_brings_its_own_scripts_and_nothing_inline(client: Served) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe-inline" not in page.headers["content-security-policy"].split("style-src")[0]
    assert re.findall("<script(?! src=)[^>]*>", page.text) == ['<script type="application/json" id="figures">']
    for name in re.findall(r'(?:src|href)="(static/[^"]+)"', page.text):
        answer = client.get(f"/{name}")
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        again = client.get(f"/{name}", if_none_match=answer.headers["etag"])
        assert (again.status, again.content) == (304, b"")


def test_a_state_that_has_not_changed_is_not_sent_again(client: Served, study_folder: Path) -> None:
    first = client.get("/state")
    tag = first.headers["etag"]
    unchanged = client.get("/state", if_none_match=tag)
    assert (unchanged.status, unchanged.content) == (304, b"")
    (study_folder / "gru-0123abcd" / "seed-0" / "summary.json").unlink()
    changed = soon(lambda: client.get("/state", if_none_match=tag), lambda answer: answer.status == 200)
    assert changed.status == 200
    assert changed.headers["etag"] != tag
    assert changed.json()["status"] != first.json()["status"]


def test_every_figure_that_a_state_names_is_there(client: Served) -> None:
    figures = client.get("/state").json()["figures"]
    assert len(figures) >= 6
    for digest in figures.values():
        found = client.get(f"/figures/{digest}")
        assert found.headers["content-type"] == "application/json"
        assert found.json()[0]["data"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_reading_is_answered(client: Served, method: str) -> None:
    for path in ("/", "/state", "/static/page.js"):
        assert client.get(path, method).status == 405
    assert client.get("/", "HEAD").status == 200


OUTSIDE = [
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/static/../watch.py",
    "/static/%2e%2e%2fwatch.py",
    "/static/",
    "/static/watch.py",
    "/figures/..%2f..%2fetc%2fpasswd",
    "/figures/%00",
    "/study/..%2f..%2fetc/",
    "/study/%2e%2e/state",
    "/study/../",
    "/study/made_up%00/",
    "/study/%ff%fe/state",
    "/study/made_up/figures/..%2f..%2f..%2frun.json",
    "/study/made_up/lstm-0123abcd/seed-0/run.json",
    "/made_up/lstm-0123abcd/seed-0/run.json",
    "//etc/passwd",
    "/etc/passwd",
    "/run.json",
    "/state/",
    "/openapi.json",
    "/favicon.ico",
]


def test_no_address_leads_to_a_file(study_folder: Path) -> None:
    for folder in (study_folder, study_folder.parent):
        with served(folder) as client:
            for path in OUTSIDE:
                answer = client.get(path)
                assert answer.status == 404, path
                assert len(answer.content) < 30


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8008", "192.168.1.7", "[::", "127.0.0.1.evil.example"])
def test_a_request_under_another_name_is_refused(client: Served, host: str) -> None:
    for path in ("/", "/state", "/static/page.js"):
        answer = client.get(path, host=host)
        assert answer.status == 421
        assert answer.text == "cellwise watch does not answer to this name; see --host\n"


def test_a_request_without_a_name_is_refused(client: Served) -> None:
    assert client.get("/", host="").status == 400


def test_every_answer_has_the_headers_that_keep_others_out(client: Served) -> None:
    answers = [
        client.get("/"),
        client.get("/state"),
        client.get("/none"),
        client.get("/", "POST"),
        client.get("/", host="evil.example"),
        client.get("/state", origin="http://evil.example"),
    ]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name.lower()] == value
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert "connect-src 'self'" in HEADERS["Content-Security-Policy"]


def test_a_folder_of_studies_has_an_index_and_a_page_for_each(
    study_folder: Path, make_study: Callable[..., Path]
) -> None:
    make_study("<script>&'?", 2, ("lstm", "gru"))
    with served(study_folder.parent) as client:
        index = client.get("/state").json()
        assert "Studies" in index["html"]
        links = re.findall('href="(study/[^"]+)"', index["html"])
        assert len(links) == 2
        for link in links:
            assert 'href="../../static/page.css"' in client.get(f"/{link}").text
            assert "is in front" in client.get(f"/{link}state").json()["html"]
        without_slash = client.get("/study/made_up")
        assert (without_slash.status, without_slash.headers["location"]) == (308, "made_up/")
        assert client.get("/study/none/").status == 404
        shutil.rmtree(study_folder)
        gone = soon(lambda: client.get("/study/made_up/state").json(), lambda state: state["error"])
        assert "can't read" in gone["error"]
        assert "is in front" in gone["html"]


def test_an_empty_folder_becomes_what_is_put_into_it(tmp_path: Path, make_study: Callable[..., Path]) -> None:
    runs, study = tmp_path / "runs", tmp_path / "empty"
    runs.mkdir()
    study.mkdir()
    with served(runs) as client:
        assert "no folder here has runs" in client.get("/state").json()["html"]
        made = make_study("made_up", 1, ("lstm",))
        assert "made_up" in soon(lambda: client.get("/state").json()["html"], lambda html: "made_up" in html)
    with served(study) as client:
        assert "no folder here has runs" in client.get("/state").json()["html"]
        shutil.copytree(made / "lstm-0123abcd", study / "lstm-0123abcd")
        whole = "1 finished runs of 1"
        assert whole in soon(lambda: client.get("/state").json()["html"], lambda html: whole in html)
        shutil.rmtree(study)
        gone = soon(lambda: client.get("/state").json(), lambda state: state["error"])
        assert "can't read" in gone["error"]
        assert "1 finished runs of 1" in gone["html"]


@pytest.fixture
def started(study_folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, as a process, on a free port."""
    command = [sys.executable, "-W", "error", "-m", "cellwise.cli", "watch", str(study_folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_the_command_says_where_it_is_serves_and_ends_with_ctrl_c(
    started: subprocess.Popen[str], study_folder: Path
) -> None:
    assert started.stdout is not None
    line = started.stdout.readline()
    matched = re.fullmatch(
        rf"Watching {re.escape(str(study_folder))} at (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it\)\n", line
    )
    assert matched
    with urllib.request.urlopen(f"{matched[1]}state", timeout=30) as answer:
        assert "25 runs: 25 finished" in json.load(answer)["status"]
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=20)
    assert (out, err, started.returncode) == ("Watching has ended.\n", "", 0)


def typed(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_what_cannot_be_watched_is_one_line(
    study_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        for words, said in (
            (
                (str(tmp_path / "none"),),
                "to watch; give a study's, for example runs/demo, or the one that holds them, runs",
            ),
            ((str(study_folder / "report.html"),), "no folder "),
            ((str(study_folder), "--port", port), f"port {port} of 127.0.0.1 is in use; type --port 0 for a free one"),
            ((str(study_folder), "--across", "cod"), "unknown ground 'cod'; did you mean 'code'?"),
            ((str(study_folder), "--host", "192.0.2.1"), "can't listen at 192.0.2.1"),
            ((str(study_folder), "--port", "70000"), "Invalid value for '--port'"),
        ):
            assert typed("watch", *words) == 2
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert said in err


def test_who_lets_others_in_is_told_that_there_is_no_password(
    study_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)
    monkeypatch.setattr("webbrowser.open", shown.append)
    assert typed("watch", str(study_folder), "--host", "0.0.0.0", "--port", "0", "--open") == 0
    warning, address, ended = capsys.readouterr().out.splitlines()
    assert warning == "Others on your network can read these runs: there is no password."
    assert ended == "Watching has ended."
    assert f" at {shown[0]} " in address
    assert shown[0].startswith("http://127.0.0.1:")
    assert typed("watch", str(study_folder), "--port", "0") == 0
    assert "password" not in capsys.readouterr().out
