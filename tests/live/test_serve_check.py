"""`sim serve-check` from the command line: what agrees, what differs, what is refused, and that everything ends."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.cli import main
from sim.live import engine
from tests.live.standing_in import StandIns, as_it_is

Command = Callable[..., int]
WORDS = ("--policy", "careful", "--minutes", "0.1", "--tick", "1s", "--calls", "60", "--json")


@pytest.fixture
def serve_check(folder: Path) -> Command:
    """Runs the command on the scenario, with these words and the registry."""

    def run(*words: str, file: str = "live.yaml") -> int:
        return main(["serve-check", str(folder / file), "--registry-uri", f"sqlite:///{folder / 'mlflow.db'}", *words])

    return run


@pytest.fixture(autouse=True)
def python_handles_signals() -> Iterator[None]:
    """What runs the tests may ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def few_replications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less time: what is compared here either depends on the seed alone, or is far out, and so may be held to more error."""
    monkeypatch.setattr("sim.live.compared.ERROR", 0.05)


def served_by(monkeypatch: pytest.MonkeyPatch, stand_ins: StandIns) -> None:
    monkeypatch.setattr("sim.serving.server.Server", stand_ins)


def by_name(told: dict[str, Any]) -> dict[tuple[str, str, bool], dict[str, Any]]:
    return {(each["arm"], each["what"], each["copies"]): each for each in told["compared"]}


def test_a_rehearsal_agrees_with_its_simulation(
    serve_check: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = threading.active_count()
    stand_ins = StandIns()
    served_by(monkeypatch, stand_ins)
    code = serve_check(*WORDS)
    told = json.loads(capsys.readouterr().out)
    found = by_name(told)
    # A machine whose load changes is a reason for other latencies, and for no other difference.
    differing = [each for each in found.values() if not each["agrees"] and each["unit"] != "s"]
    assert not differing
    assert told["verdict_agrees"]
    assert (told["unlike"], told["verdict"]) == (0, "undecided")
    assert code == (0 if told["agrees"] else 3)
    # Four in six seconds are after the shadow, at 40%; before it, 80% are copied to the challenger.
    requests = found["", "requests", False]["seen"]
    share, copies = found["challenger", "share", False]["seen"], found["challenger", "requests", True]["seen"]
    assert abs(requests - 120) < 5 * np.sqrt(120)
    assert 0.1 < share < 0.45
    assert 15 < copies < 60
    # The challenger always says yes.
    yes = (found["challenger", "accuracy", False]["seen"], found["challenger", "agreement", True]["seen"])
    assert all(0.2 < each < 0.8 for each in yes)
    assert found["champion", "p50", False]["seen"] > 0.015
    assert told["read"] >= requests - 10
    assert (stand_ins.made, stand_ins.running, threading.active_count()) == (2, set(), before)


def test_what_differs_is_said(
    serve_check: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the traffic, the champion fails and the challenger is slow and says something else than before."""

    def changing(server: int, calls: int, wait_s: float, answer: Any) -> tuple[float, int, Any]:
        if calls <= 31:  # What is sent before the traffic: a row to see that it answers, and 30 calls alone.
            return wait_s, 200, answer
        return (wait_s, 500, answer) if server == 0 else (15 * wait_s, 200, "no")

    served_by(monkeypatch, StandIns(changing))
    # Calls alone, after the traffic, must be as before it: so there are none.
    monkeypatch.setattr("sim.live.check.together", lambda before, after: before)
    assert serve_check(*WORDS) == 3
    told = json.loads(capsys.readouterr().out)
    differs = {key for key, each in by_name(told).items() if not each["agrees"]}
    assert {("champion", "errors", False), ("challenger", "p50", False), ("challenger", "p50", True)} <= differs
    assert ("champion", "accuracy", False) in differs
    assert told["unlike"] > 20
    assert not told["agrees"]


def test_a_router_that_does_not_follow_its_policy_is_found(
    serve_check: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served_by(monkeypatch, StandIns())
    turn = engine.Turn

    def never(arm: Any, mirror: Any, cohort: int) -> Any:
        return turn(engine.ByWeight([float("inf")] * 2), 0 * mirror, cohort)

    monkeypatch.setattr(engine, "Turn", never)
    assert serve_check(*WORDS[:-1]) == 3
    lines = capsys.readouterr().out.splitlines()
    differing = [line.split("  ")[0] for line in lines if line.endswith("DIFFERS")]
    assert "challenger" in differing
    assert "challenger, copies" in differing
    assert any("differ from what is simulated" in line for line in lines)


@pytest.mark.parametrize("moment", ["alone", "traffic", "after"])
def test_an_interrupt_ends_everything(
    serve_check: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    before = threading.active_count()
    calls = iter(range(10**6))
    at = {"alone": 20, "traffic": 90, "after": 10**6}[moment]

    def interrupting(server: int, own: int, wait_s: float, answer: Any) -> tuple[float, int, Any]:
        if next(calls) == at:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return as_it_is(server, own, wait_s, answer)

    stand_ins = StandIns(interrupting)
    served_by(monkeypatch, stand_ins)
    if moment == "after":

        def interrupted(*given: object) -> None:
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr("sim.live.check.predict", interrupted)
    words = ("--policy", "careful", "--minutes", "0.05", "--tick", "1s", "--calls", "60")
    assert serve_check(*words) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "sim: interrupted"
    assert stand_ins.made == 2
    # A thread that has done its last step is counted for a moment more.
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert (stand_ins.running, threading.active_count()) == (set(), before)
    for port in stand_ins.ports:
        with socket.socket() as tried, pytest.raises(ConnectionRefusedError):
            tried.connect(("127.0.0.1", port))


def test_what_cannot_be_played_live_is_refused_before_anything_starts(
    serve_check: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_ins = StandIns()
    served_by(monkeypatch, stand_ins)
    truth = "truth={challenger: {accuracy: {relative_effect: 1%}}}"
    wrong = {
        ("--policy", "nobody"): "--policy: no policy 'nobody'",
        ("--policy", "hold", "--tick", "1s"): "--policy: hold decides before any request",
        ("--policy", "careful"): "--tick: the control interval of 10m is longer than the rehearsal, which lasts 2m",
        ("--policy", "careful", "--tick", "7s"): "--minutes horizon: must be a whole number of ticks",
        ("--policy", "careful", "--tick", "soon"): "--tick tick: must be a duration",
        ("--policy", "careful", "--tick", "1s", "--rate", "500/s"): "at most 100 requests a second can be sent on time",
        ("--policy", "careful", "--tick", "1s", "--rate", "1/y"): "traffic.rate: gives no request in this time",
        ("--policy", "careful", "--tick", "1s", "--minutes", "0"): "--minutes: must be above 0",
        ("--policy", "careful", "--tick", "1s", "--minutes", "nan"): "--minutes: must be above 0",
        ("--policy", "careful", "--tick", "1s", "--calls", "61"): "--calls: must be a multiple of 12 from 60",
        ("--policy", "careful", "--tick", "1s", "--set", truth): "truth: is assumed, and real servers know nothing of it",
        ("--policy", "careful", "--tick", "1s", "--set", "metrics[0].delay={constant: 2s}"): "metrics[0].delay: is assumed",
        ("--policy", "careful", "--tick", "1s", "--set", "users={count: 50}"): "users: is assumed",
        ("--policy", "careful", "--tick", "1s", "--set", "router={misrouted: {challenger: 1%}}"): "by --set router={}",
        ("--policy", "careful", "--tick", "1s", "--set", "sweep={seed: [1, 2]}"): "and one is played",
        ("--policy", "careful", "--tick", "1s", "--set", "data=null"): "data",
    }
    for words, said in wrong.items():
        assert serve_check(*words) == 2, words
        assert said in capsys.readouterr().err, words
    assert stand_ins.made == 0


def test_a_behaviour_model_has_nothing_to_serve(serve_check: Command, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = folder / "models.yaml"
    models.write_text("model: stated\nversions:\n  - {outcomes: {accuracy: {bernoulli: 90%}}, latency: {constant: 20ms}}\n")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    assert main(["models", "register", str(models), "--registry-uri", store]) == 0
    assert serve_check("--policy", "careful", "--tick", "1s", "--set", "models[1].uri=models:/stated/1") == 2
    assert "models[1].uri: models:/stated/1 is a behaviour model, of which there is nothing to serve" in capsys.readouterr().err
