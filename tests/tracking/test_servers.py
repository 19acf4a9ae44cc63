"""A server that is too slow, answers too much or nonsense, or is gone in the middle: the next command goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from sim.cli import main
from sim.registry import store
from sim.tracking import child
from sim.tracking.track import track
from tests.tracking.folders import write_folder
from tests.tracking.servers import Answer, Between, RealServer, serving, text
from tests.tracking.stores import here, is_whole

ROOT = Path(__file__).parents[2]


def drips(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def dawdles(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    time.sleep(4.5)
    text(handler, b"{}")


@pytest.mark.parametrize("answer", [drips, dawdles])
@pytest.mark.faults
def test_a_slow_server_is_given_its_time_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: Callable[[BaseHTTPRequestHandler, bytes], None]
) -> None:
    folder = write_folder(tmp_path / "run")
    with serving(answer) as address:
        assert main(["track", str(folder), "--tracking-uri", address, "--timeout", "1.5"]) == 4
    said = capsys.readouterr().err
    assert f"the MLflow store {address} did not take everything within 1.5 s: nothing is logged yet" in said
    assert f"to log them later: sim track {folder} --tracking-uri {address} --timeout 30" in said


@pytest.mark.parametrize(
    ("given", "says"),
    [("0", "got '0'"), ("-1", "got '-1'"), ("soon", "got 'soon'"), ("nan", "'nan'"), ("1e9", "at most 86400")],
)
def test_a_time_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, says: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["track", str(tmp_path), "--timeout", given])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.faults
def test_an_answer_without_end_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = 0

    def floods(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        for _ in range(3 * 2**10):
            handler.wfile.write(b" " * 2**20)
            sent += 2**20

    folder = write_folder(tmp_path / "run")
    with serving(floods) as address:
        assert main(["track", str(folder), "--tracking-uri", address]) == 4
    assert f"the MLflow store {address} cannot be used: an answer has more than 64 MB" in capsys.readouterr().err
    assert sent < 300 * 2**20


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process reads answers as the one that logs does."""
    import requests

    monkeypatch.setattr(requests.Response, "iter_content", requests.Response.iter_content)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    child._load("http://")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""), (200, b"[]"), (200, b"null"), (200, b"7"), (200, b'"yes"'), (200, b"{}"), (200, b"<html><p>Sign in</html>"),
        (200, b'{"experiments": 5, "runs": "many"}'), (200, b'{"experiments": [{"experiment_id": ["x"]}]}'),
        (200, b"\xff\xfe\x00"),
        (204, b""), (302, b""), (403, b"\x1b[2J\x1b]0;owned\x07no"), (404, b"<html>"), (500, b"{}"),
    ],
)  # fmt: skip
@pytest.mark.faults
def test_an_answer_that_is_none_of_mlflows_is_no_success(tmp_path: Path, bounded: None, status: int, body: bytes) -> None:
    folder = write_folder(tmp_path / "run")
    with serving(lambda handler, _: text(handler, body, status)) as address, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.tracking.log.time.sleep", lambda s: None)
        what, value = child._logged(folder, address, None, [], None, False, tell=lambda *_: None)
    assert what == "failed", value
    assert re.search(r"cannot be used|cannot be reached|refused", value), value
    assert address in value
    assert value.isprintable(), value


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A real server with each store. With PostgreSQL, another server has the artifacts."""
    home = tmp_path_factory.mktemp("server")
    if request.param == "SQLite":
        real = RealServer(home, f"sqlite:///{home / 'mlflow.db'}")
    else:
        uri = request.getfixturevalue("postgresql")(f"servers {os.getpid()}")
        real = RealServer(home, uri, RealServer(tmp_path_factory.mktemp("artifacts"), None))
    try:
        real.start()
        yield real
    finally:
        real.kill()
        if real.artifacts is not None:
            real.artifacts.kill()


# Faults between a server and us: what it keeps its runs in does not show there.
BETWEEN = pytest.mark.parametrize("server", ["SQLite"], indirect=True)


@pytest.mark.slow
def test_a_real_server(tmp_path: Path, server: RealServer) -> None:
    folder = write_folder(tmp_path, digest="real")
    tracked = track(folder, tracking_uri=server.address, timeout_s=300)
    page = f"{server.address}/#/experiments/{tracked.experiment_id}/runs/{tracked.run_id}"
    assert tracked.url_or_hint == f"{page}?workflowType=machine_learning"
    client = store.client(server.address)
    is_whole(client, folder)
    assert [each.dataset.name for each in client.get_run(tracked.run_id).inputs.dataset_inputs] == ["checkout-ranker traffic"]
    (folder / "tracking.json").unlink()
    assert here(folder, server.address).created is False
    is_whole(client, folder)


SPOILT: dict[str, Callable[[Answer], Answer | None]] = {
    "lost": lambda answer: None,
    "500": lambda answer: answer._replace(status=500, body=b"<h1>Internal Server Error</h1>", kind="text/html"),
    "garbage": lambda answer: answer._replace(body=b"\xff<html><p>Sign in</html>"),
    "cut": lambda answer: answer._replace(lost=len(answer.body) // 2 + 1),
    "slow": lambda answer: time.sleep(60),
}
"""What comes of an answer, though the request was carried out."""


@pytest.mark.slow
@BETWEEN
@pytest.mark.parametrize("fault", ["lost", "500"])
@pytest.mark.faults
def test_answers_that_are_lost_duplicate_nothing(tmp_path: Path, server: RealServer, fault: str) -> None:
    """MLflow's client sends a request again whose answer does not come, or is an error of the server."""
    between = Between(server.address)
    between.fault = lambda n, hand_on: SPOILT[fault](hand_on()) if n % 3 == 0 else hand_on()
    folder = write_folder(tmp_path, digest=f"third-{fault}")
    with serving(between.answer) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        here(folder, address)
    is_whole(store.client(server.address), folder)


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.mark.slow
@BETWEEN
@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.faults
def test_a_signal_in_the_middle_and_then_the_same_command(tmp_path: Path, server: RealServer, sent: signal.Signals) -> None:
    between = Between(server.address)
    folder = write_folder(tmp_path, digest=f"signal-{sent.name}")
    at = {signal.SIGINT: 9, signal.SIGTERM: 14, signal.SIGKILL: 20}[sent]
    reached = []

    def holds(n: int, hand_on: Callable[[], Answer]) -> Answer | None:
        given = hand_on()
        if n == at:
            reached.append(n)
            time.sleep(60)
        return given

    between.fault = holds
    with serving(between.answer) as address:
        command = [sys.executable, "-m", "sim", "track", str(folder), "--tracking-uri", address, "--timeout", "600"]
        process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, text=True,
            # What is started in the background may ignore interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        wait_for(lambda: bool(reached))
        process.send_signal(sent)
        _, said = process.communicate(timeout=60)
        assert process.returncode == (-signal.SIGKILL if sent is signal.SIGKILL else 130), said
        calls = between.calls
        time.sleep(0.5)
        assert between.calls == calls, "nobody goes on in the background"
    here(folder, server.address)
    is_whole(store.client(server.address), folder)


@pytest.mark.slow
@pytest.mark.faults
def test_the_server_is_killed_in_the_middle_and_comes_back(
    tmp_path: Path, server: RealServer, capsys: pytest.CaptureFixture[str]
) -> None:
    between = Between(server.address)
    folder = write_folder(tmp_path / "run", digest="killed")

    def kills(n: int, hand_on: Callable[[], Answer]) -> Answer | None:
        if n == 12:
            server.kill()
        return hand_on()

    between.fault = kills
    try:
        with serving(between.answer) as address:
            assert main(["track", str(folder), "--tracking-uri", address, "--timeout", "60"]) == 4
        assert "cannot be reached" in capsys.readouterr().err
    finally:
        server.start()
    assert main(["track", str(folder), "--tracking-uri", server.address, "--timeout", "600"]) == 0
    is_whole(store.client(server.address), folder)


@pytest.mark.slow
@pytest.mark.faults
def test_the_artifact_store_is_gone_and_comes_back(
    tmp_path: Path, server: RealServer, capsys: pytest.CaptureFixture[str]
) -> None:
    if server.artifacts is None:
        pytest.skip("this server keeps artifacts itself")
    folder = write_folder(tmp_path / "run", digest="artifacts")
    server.artifacts.kill()
    try:
        assert main(["track", str(folder), "--tracking-uri", server.address]) == 4
    finally:
        server.start()
    said = capsys.readouterr().err
    assert "the artifacts cannot be written" in said or "it has 2 of 3 runs and 0 of" in said
    assert main(["track", str(folder), "--tracking-uri", server.address, "--timeout", "600"]) == 0
    is_whole(store.client(server.address), folder)


@pytest.mark.slow
@pytest.mark.faults
def test_two_runs_at_once_and_one_of_them_by_two_commands(tmp_path: Path, server: RealServer) -> None:
    one, again, other = (write_folder(tmp_path / name, digest=name.rstrip("2")) for name in ("once", "once2", "other"))
    command = [sys.executable, "-m", "sim", "track", "--tracking-uri", server.address, "--timeout", "600"]
    started = [
        subprocess.Popen([*command, str(folder)], cwd=ROOT, stderr=subprocess.PIPE, text=True) for folder in (one, again, other)
    ]
    said = [each.communicate(timeout=600)[1] for each in started]
    assert [each.returncode for each in started] == [0, 0, 0], said
    # Who removes what is superfluous may be the first to end, and whoever comes later leaves it as it is.
    for folder in (one, other):
        is_whole(store.client(server.address), folder)


@pytest.mark.slow
@BETWEEN
@pytest.mark.parametrize(("fault", "first"), [("500", 6), ("garbage", 9), ("cut", 11), ("slow", 14)])
@pytest.mark.faults
def test_answers_are_spoilt_from_the_middle_on(
    tmp_path: Path, server: RealServer, capsys: pytest.CaptureFixture[str], fault: str, first: int
) -> None:
    between = Between(server.address)
    between.fault = lambda n, hand_on: hand_on() if n < first else SPOILT[fault](hand_on())
    folder = write_folder(tmp_path / "run", digest=f"spoilt-{fault}")
    with serving(between.answer) as address:
        assert main(["track", str(folder), "--tracking-uri", address, *(["--timeout", "6"] if fault == "slow" else [])]) == 4
        calls = between.calls
        time.sleep(0.5)
        assert between.calls == calls >= first, "nobody goes on in the background"
    assert "to log them later: sim track" in capsys.readouterr().err
    here(folder, server.address)
    is_whole(store.client(server.address), folder)


@pytest.mark.slow
@pytest.mark.faults
def test_an_answer_that_is_cut_off_is_asked_for_again(tmp_path: Path, server: RealServer) -> None:
    """MLflow's client does not ask again: it takes the server for one that cannot be reached."""
    between = Between(server.address)
    # While runs are created, and while they are filled.
    between.fault = lambda n, hand_on: SPOILT["cut"](hand_on()) if n in (8, 14) else hand_on()
    folder = write_folder(tmp_path / "run", digest="cut-again")
    with serving(between.answer) as address:
        here(folder, address)
    is_whole(store.client(server.address), folder)
