"""Servers whose service is known, measured through real sockets; and answers that are no predictions."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sim.errors import InputError
from sim.serving import guard
from sim.serving.calls import Endpoint, call, open_loop, probe
from sim.serving.measure import drive
from sim.serving.server import Server
from sim.stats.service import fit_service
from tests.serving.known import known

ROW = b'{"dataframe_split": {"columns": ["a"], "data": [[1.0]]}}'


@pytest.mark.parametrize("concurrency", [1, 3])
def test_service_and_concurrency_of_a_known_server_are_found(concurrency: int) -> None:
    # A machine that is at something else for a moment spoils a measurement, never three of them.
    faults = []
    while len(faults) < 3 and (fault := _fault_of_a_fit(concurrency)):
        faults.append(fault)
    assert len(faults) < 3, faults


def _fault_of_a_fit(concurrency: int) -> str:
    """What is wrong with what is found of a server that sleeps for 50 ms; empty if nothing is."""
    service_s = 0.05
    with known(concurrency, service_s) as endpoint:
        try:
            found = drive(endpoint, [ROW], 300, lambda said: None)
        except InputError as error:
            return str(error)
    assert found.calls <= 300
    fit = fit_service(found.alone, found.loads, found.held_out, found.full_per_s)
    # A busy machine adds to a sleep, so the bounds are of what a call took here alone, and a queue is never part of it.
    took_s = float(np.concatenate(found.alone).mean())
    if not fit.least <= concurrency <= fit.most:
        return f"{concurrency} at once are not within {fit.least} to {fit.most}"
    if not service_s * 0.8 < fit.held_s < 1.6 * took_s:
        return f"held for {fit.held_s} s, where a call alone takes {took_s} s"
    return ""


def test_a_search_that_takes_all_calls_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.serving.measure._fullest", lambda send, block, most: (100.0, 200))
    with known(1, 0.0) as endpoint:
        with pytest.raises(InputError, match=r"took 200 of them; got 300") as told:
            drive(endpoint, [ROW], 300, lambda said: None)
        found = re.search(r"--requests: must be at least (\d+) here", str(told.value))
        assert found
        needed = int(found[1])
        assert drive(endpoint, [ROW], needed, lambda said: None).calls <= needed


def test_arrivals_do_not_wait_for_answers() -> None:
    with known(1, 0.3) as endpoint:
        sent = open_loop(lambda at: call(endpoint, ROW), [0.0, 0.02, 0.04, 0.06])
    # One after another they would be 0.9 s apart; answers come one by one.
    assert np.ptp(sent.at_s) < 0.3
    assert sent.took_s.max() > 0.8


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "text/html", b"<html>MLflow</html>"), "and a page"),
        ((500, "application/json", b'{"error": "no such column"}'), "500.*no such column"),
        ((200, "application/json", b"not json"), "must answer a row with JSON"),
        ((302, "application/json", b"{}"), "302"),
    ],
)
def test_an_answer_that_is_no_prediction_is_said(answer: tuple[int, str, bytes], said: str) -> None:
    with known(1, 0.0, lambda: answer) as endpoint, pytest.raises(InputError, match=said):
        probe(endpoint, ROW)


def test_a_server_that_turns_calls_away_is_refused() -> None:
    calls = iter(range(10_000))
    answers = {True: (200, "application/json", b'{"predictions": [1]}'), False: (503, "application/json", b"too busy")}
    with known(1, 0.001, lambda: answers[next(calls) < 40]) as endpoint, pytest.raises(InputError, match=r"503.*too busy"):
        drive(endpoint, [ROW], 300, lambda said: None)


def test_a_server_that_is_not_there_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match="is the server running"):
            probe(Endpoint.of(f"http://127.0.0.1:{taken.getsockname()[1]}"), ROW)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "127.0.0.1:80", "http://", "http://user@127.0.0.1", "http://127.0.0.1:99999"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="must be the address"):
        Endpoint.of(url)


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://127.0.0.1.example.com", "http://10.0.0.1:5000", "http://0.0.0.0"]
)
def test_another_host_needs_leave(url: str) -> None:
    with pytest.raises(InputError, match="--allow-host"):
        Endpoint.of(url, "other.example.com")


def test_a_host_that_is_allowed_is_taken() -> None:
    assert str(Endpoint.of("https://Staging.example/score", "staging.example")) == "https://staging.example:443/score"


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="--port: cannot be used"), Server(tmp_path, port=taken.getsockname()[1]):
            pytest.fail("it started")


def test_a_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """A parent that is killed takes along the guard, the command, and what the command started."""
    mark = tmp_path / "beats"
    beat = f"import time\nwhile True:\n  open({str(mark)!r}, 'a').write('.'); time.sleep(0.05)"
    grandchild = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {beat!r}])"
    parent = subprocess.Popen([
        sys.executable, "-c",
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, {guard.__file__!r}, sys.executable, '-c', "
        f"{grandchild!r}], stdin=subprocess.PIPE, start_new_session=True); time.sleep(60)",
    ])  # fmt: skip
    for _ in range(600):
        if mark.exists() and mark.stat().st_size > 3:
            break
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    for _ in range(100):
        size = mark.stat().st_size
        time.sleep(0.3)
        if mark.stat().st_size == size:
            return
    pytest.fail("the server goes on")
