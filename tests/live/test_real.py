"""`sim serve-check` on MLflow's own servers, in a process of its own: played to the end, and killed on the way."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.serving.calls import Endpoint, alive
from tests.serving.real import needs_mlflow_server, unless_late

COMMAND = (sys.executable, "-m", "sim", "serve-check", "live.yaml", "--registry-uri", "sqlite:///mlflow.db")
WORDS = ("--policy", "careful", "--minutes", "0.1", "--tick", "1s", "--calls", "60", "--rate", "5/s", "--json")


def test_real_servers_give_what_is_simulated(folder: Path) -> None:
    needs_mlflow_server()
    done = subprocess.run([*COMMAND, *WORDS], cwd=folder, capture_output=True, text=True, check=False)
    unless_late(done.stderr)
    assert done.returncode in (0, 3), done.stderr
    told = json.loads(done.stdout)
    # How quick two servers are on a machine that is at something else is no business of this test; all else is.
    assert [each for each in told["compared"] if not each["agrees"] and each["unit"] != "s"] == []
    assert told["verdict_agrees"]
    assert told["unlike"] == 0
    assert told["read"] > 10
    assert done.returncode == (0 if told["agrees"] else 3)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_servers_end_with_the_command(folder: Path, how: signal.Signals) -> None:
    needs_mlflow_server()
    running = subprocess.Popen([*COMMAND, *WORDS], cwd=folder, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    said = ""
    while "calls of each arm" not in said:
        line = running.stderr.readline()
        said += line
        if not line:
            running.wait()
            unless_late(said)
            pytest.fail(said)
    ports = [int(port) for port in re.findall(r"on port (\d+)", said)]
    assert len(ports) == 2
    endpoints = [Endpoint("http", "127.0.0.1", port, "/") for port in ports]
    assert all(map(alive, endpoints))
    running.send_signal(how)
    code = running.wait()
    assert code == (130 if how == signal.SIGINT else -signal.SIGKILL)
    # A process that is killed takes its servers along a moment later.
    for _ in range(300):
        if not any(map(alive, endpoints)):
            return
        time.sleep(0.1)
    pytest.fail("a server goes on")
