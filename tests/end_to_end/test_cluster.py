"""A run on a Dask cluster of two worker processes: the same bits, whatever becomes of workers and scheduler."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import sim
from sim.cli import main
from sim.errors import EXIT_CLUSTER
from sim.run.crew import ClusterError
from sim.run.record import read_run
from tests.end_to_end.conftest import ROOT

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")

MODELS = [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.058)]
SWEPT: dict[str, Any] = {
    "name": "swept", "horizon": "12h", "tick": "1h", "replications": 20, "traffic": {"rate": "1000/h"}, "aa": True,
    "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
    "metrics": [{"name": "sale", "role": "primary"}],
    "policies": [
        {"name": "thompson", "kind": "bandit", "allocation": {"kind": "thompson"}},
        {"name": "posterior", "kind": "ab", "evidence": {"kind": "posterior"}},
    ],
    "sweep": {"traffic.rate": [f"{rate}/h" for rate in range(1000, 1024)]},
}  # fmt: skip
TABLES = ("trials.parquet", "timeline.parquet")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def dask(*words: str, path: str = str(ROOT), **more: str) -> subprocess.Popen[bytes]:
    """A scheduler or a worker, as people start it."""
    environment = os.environ | {"PYTHONPATH": path} | more
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


def ended(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def worker(address: str, **more: str) -> subprocess.Popen[bytes]:
    return dask("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", **more)


@contextmanager
def scheduled(workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """A scheduler with some workers: its address, and their processes."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = dask("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    crew = [worker(address) for _ in range(workers)]
    try:
        with distributed.Client(address, timeout=30, set_as_default=False) as client:
            if workers:
                client.wait_for_workers(workers, timeout=60)
        yield address, scheduler, crew
    finally:
        ended(scheduler, *crew)


@pytest.fixture(scope="module")
def two() -> Iterator[str]:
    """The address of a scheduler with two workers."""
    with scheduled(2) as (address, _, _):
        yield address


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process plays."""
    return sim.run_scenario(SWEPT, models=MODELS, out=tmp_path_factory.mktemp("alone") / "out", log=False, workers=1).folder


def same(one: Path, other: Path) -> bool:
    """Whether two folders have the same tables, byte by byte."""
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in TABLES)


def test_same_bits_as_one_process(two: str, alone: Path, tmp_path: Path) -> None:
    outcome = sim.run_scenario(SWEPT, models=MODELS, out=tmp_path / "out", log=False, cluster=two)
    assert same(outcome.folder, alone)


def kill_some(cluster: Any, kills: int, over: threading.Event, killed: list[int]) -> None:
    """Kill workers of a local cluster at random moments, which starts others in their place.

    One of those that work stays, so that a machine that takes long to start others is not kept from all work.
    """
    chance = random.Random(7)
    while len(killed) < kills and not over.wait(chance.uniform(0.2, 3.0)):
        known = set(cluster.scheduler.workers)
        nannies = [nanny for nanny in list(cluster.workers.values()) if nanny.worker_address in known]
        there = [nanny.process.pid for nanny in nannies if nanny.process and nanny.process.pid]
        if len(there) > 1:
            pid = chance.choice(there)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.append(pid)


def test_workers_that_die_change_no_bit(alone: Path, tmp_path: Path) -> None:
    # `SIM_KILLS=100` is the long form, which plays until there were as many.
    kills, killed, over = int(os.environ.get("SIM_KILLS", "3")), list[int](), threading.Event()
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50, memory_limit=0
    )
    killer = threading.Thread(target=kill_some, args=(cluster, kills, over, killed))
    played: list[str] = []
    try:
        killer.start()
        rounds = 0
        while len(killed) < kills or not rounds:
            counted: list[str] = []
            out = tmp_path / f"out{rounds}"
            sim.run_scenario(
                SWEPT, models=MODELS, out=out, log=False, cluster=cluster.scheduler_address,
                planned=lambda plan, effort, counted=counted: lambda task, seconds: counted.append(task.name),
            )  # fmt: skip
            assert same(out, alone)
            assert len(counted) == len(set(counted)) == 48
            played += counted
            rounds += 1
    finally:
        over.set()
        killer.join()
        cluster.close()
    print(f"{len(killed)} kills in {rounds} runs")
    assert len(killed) >= kills
    assert played


def test_late_workers_help_and_others_are_left_out(alone: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(ROOT / "sim", other / "sim", ignore=shutil.ignore_patterns("__pycache__"))
    version = other / "sim" / "version.py"
    version.write_text(version.read_text().replace('VERSION = "', 'VERSION = "7.'))
    notes: list[str] = []
    with scheduled(1) as (address, _, crew):

        def planned(plan: Any, effort: Any) -> Any:
            def watch(task: Any, seconds: float | None) -> None:
                seen.append(task.name)
                if len(seen) == 3:
                    crew.append(worker(address, path=str(other)))
                    with distributed.Client(address, set_as_default=False) as client:
                        client.wait_for_workers(2, timeout=60)

            return watch

        seen: list[str] = []
        outcome = sim.run_scenario(
            SWEPT, models=MODELS, out=tmp_path / "out", log=False, cluster=address, planned=planned, noted=notes.append
        )
        # A run that begins now is refused at once.
        with pytest.raises(sim.InputError, match=r"tcp://\S+ has another program: rollout-sim 7\.\S+, not \d"):
            sim.run_scenario(SWEPT, models=MODELS, out=tmp_path / "new", log=False, cluster=address)
    assert same(outcome.folder, alone)
    assert len(notes) == 1
    assert "has another program: rollout-sim 7." in notes[0]
    assert not (tmp_path / "new").exists()


def test_a_scheduler_that_goes_away_leaves_checkpoints_and_another_machine_goes_on(alone: Path, tmp_path: Path) -> None:
    with scheduled(2) as (address, scheduler, _):
        seen: list[str] = []

        def watch(task: Any, seconds: float | None) -> None:
            seen.append(task.name)
            if len(seen) == 10:
                scheduler.kill()

        with pytest.raises(ClusterError, match="went away; what was finished before is kept") as caught:
            sim.run_scenario(
                SWEPT, models=MODELS, out=tmp_path / "out", log=False, cluster=address, planned=lambda plan, effort: watch
            )
    assert caught.value.exit_code == EXIT_CLUSTER
    # The folder goes to another machine, with one checkpoint cut short on the way.
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "out", moved)
    kept = sorted((moved / ".checkpoint").glob("*.npz"))
    assert len(kept) >= 10
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    before: list[float | None] = []
    outcome = sim.run_scenario(
        SWEPT, models=MODELS, out=moved, log=False, workers=1,
        planned=lambda plan, effort: lambda task, seconds: before.append(seconds),
    )  # fmt: skip
    assert before.count(None) == len(kept) - 1
    assert len(before) == 48
    assert same(outcome.folder, alone)


@pytest.mark.parametrize(
    "address", ["scheduler:8786", "local:0", "local:513", "tcp://host", "tcp://host:99999", "tcp://\x1b[2J:1"]
)
def test_an_address_that_is_none(small: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(small), "--cluster", address]) == 2
    said = capsys.readouterr().err
    assert (
        "--cluster: must be the address of a Dask scheduler, as tcp://scheduler:8786, or local:N with N from 1 to 512" in said
    )
    assert "\x1b" not in said


def test_nothing_answers_or_nobody_works(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.run.on_dask.ANSWERS_S", 1.0)
    assert main(["run", str(small), "--cluster", f"tcp://127.0.0.1:{free_port()}"]) == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:" in capsys.readouterr().err
    with scheduled(0) as (address, _, _):
        assert main(["run", str(small), "--cluster", address]) == 2
    assert "has no workers, and none came within 1 s: start some" in capsys.readouterr().err
    assert main(["run", str(small), "--cluster", "local:2", "--workers", "2"]) == 2
    assert "--workers: cannot be given together with --cluster" in capsys.readouterr().err


def test_without_dask(small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["run", str(small), "--cluster", "local:2"]) == 2
    assert "pip install 'rollout-sim[cluster]'" in capsys.readouterr().err


CALIBRATED = """\
name: calibrated
replications: 40
horizon: 4d
tick: 1d
aa: false
sensitivity: off
traffic: {rate: 40/m}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics: [{name: conversion, role: primary}]
policies:
  - name: looks
    kind: ab
    evidence: {kind: peeking, every: 1d, sample: 200000, alpha: {calibrate: {aa_declared: 5%}, replications: 200}}
"""


def test_numbers_that_are_calibrated_are_found_on_a_cluster_as_here(tmp_path: Path, store: str) -> None:
    file = tmp_path / "calibrated.yaml"
    file.write_text(CALIBRATED)
    ways = {"here": ("--workers", "1"), "there": ("--cluster", "local:2")}
    for name, way in ways.items():
        # Folders of their own, so that nothing that the other one found is taken.
        own = ("--reports", str(tmp_path / name), "--out", str(tmp_path / name / "out"))
        assert main(["run", str(file), *own, *way, "--registry-uri", store, "--no-tracking", "--quiet"]) == 0
    here, there = (read_run(tmp_path / name / "out") for name in ways)
    (record,) = here.calibrated
    assert there.calibrated == (record,)
    assert same(tmp_path / "here" / "out", tmp_path / "there" / "out")
