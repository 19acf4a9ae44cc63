"""Tasks on executors: the same bits, what is sent, and what is refused."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sim
from sim.errors import EXIT_CLUSTER
from sim.run import shipped
from sim.run.crew import ClusterError
from tests.run.test_enough import MODELS, SCENARIO

SMALL = {**SCENARIO, "replications": 40, "sweep": {"traffic.rate": ["1000/h", "1500/h", "2000/h"]}, "aa": True}


@pytest.fixture(scope="module")
def alone() -> pd.DataFrame:
    """The trials that one process plays."""
    return sim.rehearse(SMALL, MODELS).trials


def test_threads_play_the_same(alone: pd.DataFrame, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as executor:
        there = sim.rehearse(SMALL, MODELS, executor=executor)
        outcome = sim.run_scenario(SMALL, models=MODELS, out=tmp_path / "out", log=False, executor=executor)
        # It stays the user's.
        assert executor.submit(int, "7").result() == 7
    pd.testing.assert_frame_equal(there.trials, alone, check_exact=True)
    pd.testing.assert_frame_equal(pd.read_parquet(outcome.folder / "trials.parquet"), alone, check_exact=True)


def test_rounds_until_there_are_enough_play_the_same() -> None:
    here = sim.rehearse(SCENARIO, MODELS)
    with ThreadPoolExecutor(2) as executor:
        there = sim.rehearse(SCENARIO, MODELS, executor=executor)
    pd.testing.assert_frame_equal(there.trials, here.trials, check_exact=True)
    assert there.comparison.run.enough == here.comparison.run.enough


class Counted(Executor):
    """Plays at once, and keeps what it was sent; `forget` makes every call a new process, as far as the parcel goes."""

    def __init__(self, forget: bool = False, breaks_after: int = 10_000) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self._forget = forget
        self._breaks_after = breaks_after

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if len(self.sent) >= self._breaks_after:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.sent.append(args)
        if self._forget:
            shipped._contents.clear()
            shipped._players.of = {}
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def parcels(executor: Counted) -> list[bool]:
    """Whether each bundle brought the parcel."""
    return [args[2] is not None for args in executor.sent if args]


def test_a_world_is_sent_once_and_not_with_every_task(alone: pd.DataFrame) -> None:
    executor = Counted()
    there = sim.rehearse(SMALL, MODELS, executor=executor, workers=2)
    pd.testing.assert_frame_equal(there.trials, alone, check_exact=True)
    brought = parcels(executor)
    assert len(brought) == 6
    assert brought == [True] * 2 + [False] * 4


def test_a_process_that_lacks_the_world_is_sent_it(alone: pd.DataFrame) -> None:
    executor = Counted(forget=True)
    there = sim.rehearse(SMALL, MODELS, executor=executor, workers=2)
    pd.testing.assert_frame_equal(there.trials, alone, check_exact=True)
    # Each of the last four came without it first, and again with it.
    assert (parcels(executor).count(True), parcels(executor).count(False)) == (6, 4)


def test_executors_that_cannot_be_used(tmp_path: Path) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    for given, says in (
        (executor, "executor: is shut down"),
        ("pool", "executor: must be an executor, as in concurrent.futures"),
    ):
        with pytest.raises(sim.InputError, match=says):
            sim.run_scenario(SMALL, models=MODELS, out=tmp_path / "out", log=False, executor=given)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as good, pytest.raises(sim.InputError, match="--cluster: cannot be given together"):
        sim.run_scenario(SMALL, models=MODELS, out=tmp_path / "out", log=False, executor=good, cluster="local:1")
    assert not (tmp_path / "out").exists()


@pytest.mark.faults
def test_an_executor_that_ends_leaves_checkpoints(alone: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="the same command goes on") as caught:
        sim.run_scenario(SMALL, models=MODELS, out=tmp_path / "out", log=False, executor=Counted(breaks_after=3), workers=1)
    assert caught.value.exit_code == EXIT_CLUSTER
    assert list((tmp_path / "out" / ".checkpoint").glob("*.npz"))
    outcome = sim.run_scenario(SMALL, models=MODELS, out=tmp_path / "out", log=False)
    pd.testing.assert_frame_equal(pd.read_parquet(outcome.folder / "trials.parquet"), alone, check_exact=True)


def test_another_program_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Counted):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if args:
                args = ((("rollout-sim", "0.0"), *args[0][1:]), *args[1:])
            return super().submit(fn, *args, **kwargs)

    with pytest.raises(ClusterError, match=r"process \d+ on .* has another program: rollout-sim \S+, not 0.0; install"):
        sim.rehearse(SMALL, MODELS, executor=Other(), workers=2)


def test_processes_play_the_same(alone: pd.DataFrame) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        there = sim.rehearse(SMALL, MODELS, executor=executor)
    pd.testing.assert_frame_equal(there.trials, alone, check_exact=True)


def test_numbers_that_are_calibrated_are_found_by_an_executor_as_by_one_process() -> None:
    asked = {"calibrate": {"aa_declared": "5%"}, "replications": 1000}
    said = {
        **SCENARIO, "replications": 40, "horizon": "10d", "tick": "1d", "aa": False,
        "policies": [
            {"name": "looks", "kind": "ab", "evidence": {"kind": "peeking", "every": "2d", "sample": 130_000, "alpha": asked}}
        ],
    }  # fmt: skip
    here = sim.rehearse(said, MODELS)
    executor = Counted()
    there = sim.rehearse(said, MODELS, executor=executor, workers=2)
    (record,) = here.comparison.run.calibrated
    assert there.comparison.run.calibrated == (record,)
    pd.testing.assert_frame_equal(there.trials, here.trials, check_exact=True)
    # The search plays there too: two worlds are sent, and more bundles than the run itself needs.
    assert sum(parcels(executor)) >= 2
