"""One whole set of runs, whatever ends the logging and whoever logs the same folder at the same time."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from sim.errors import TrackingError
from sim.registry import store
from sim.tracking.entries import Entry, nested_entries
from sim.tracking.folder import RunFolder, read_folder
from sim.tracking.log import Logged, log
from tests.tracking.folders import write_folder
from tests.tracking.pretend import Around, Pretend, PretendClient
from tests.tracking.stores import here, is_whole

TRIES = int(os.environ.get("FUZZ_TRIES", "40"))
"""Scripts that look for faults try more."""


_ENTRIES: dict[str, list[Entry]] = {}


def entries_of(folder: RunFolder) -> list[Entry]:
    """The nested entries of a folder, read once."""
    if folder.fingerprint not in _ENTRIES:
        _ENTRIES[folder.fingerprint] = nested_entries(folder)
    return _ENTRIES[folder.fingerprint]


class Killed(BaseException):
    """The process ends: nothing that catches errors sees it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return read_folder(write_folder(tmp_path_factory.mktemp("folder"), ("hold", "canary", "ab"), ticks=2))


@pytest.fixture(autouse=True, scope="module")
def read_once() -> Iterator[None]:
    """The entries of a folder are made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.tracking.log.nested_entries", entries_of)
        yield


def log_to(pretend: Pretend, folder: RunFolder, around: Around = lambda call: call(), **named: Any) -> Logged:
    """Log a folder to a store in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "client", lambda *uris: PretendClient(pretend, around))
        patch.setattr("sim.tracking.log.time.sleep", lambda s: None)
        return log(folder, "pretend://", **named)


def assert_whole(pretend: Pretend, folder: RunFolder) -> None:
    """One whole set, and nothing is RUNNING, deleted or not."""
    runs = [run for run in pretend.runs.values() if not run.deleted]
    keys = [folder.record.key, *(entry.key for entry in entries_of(folder))]
    assert Counter(run.tags["sim.key"] for run in runs) == Counter(keys)
    assert {run.status for run in runs} == {"FINISHED"}
    assert {run.status for run in pretend.runs.values()} <= {"FINISHED", "KILLED"}
    (parent,) = (run for run in runs if run.tags["sim.key"] == folder.record.key)
    assert parent.tags["sim.logged"] == folder.fingerprint
    assert parent.files.keys() == {file.name for file in folder.files}
    for entry in entries_of(folder):
        (run,) = (run for run in runs if run.tags["sim.key"] == entry.key)
        assert (run.tags["mlflow.parentRunId"], run.tags["sim.logged"]) == (parent.id, entry.fingerprint)
        assert (run.params, run.metrics.items() >= entry.estimates.items()) == (entry.params, True)


def killed_at(n: int, before: bool) -> Around:
    """Is killed at the n-th call of a store, before or after the store does it."""
    calls = 0

    def around(call: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls == n and before:
            raise Killed
        answer = call()
        if calls == n:
            raise Killed
        return answer

    return around


def was_killed(pretend: Pretend, folder: RunFolder, n: int, before: bool) -> bool:
    """Log a folder until the n-th call of the store; whether there were so many."""
    try:
        log_to(pretend, folder, killed_at(n, before))
    except Killed:
        return True
    return False


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_any_call_leaves_what_the_next_command_completes(folder: RunFolder, before: bool) -> None:
    for n in range(1, 200):
        pretend = Pretend(n)
        if not was_killed(pretend, folder, n, before):
            break
        log_to(pretend, folder)
        assert_whole(pretend, folder)
    assert n > 25


def test_kills_of_kills_are_no_worse(folder: RunFolder) -> None:
    for seed in range(TRIES):
        chance, pretend = random.Random(seed), Pretend(seed)
        for _ in range(5):
            was_killed(pretend, folder, chance.randint(1, 35), chance.random() < 0.5)
        log_to(pretend, folder)
        assert_whole(pretend, folder)


@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_answer_is_asked_for_again_and_duplicates_nothing(folder: RunFolder, times: int) -> None:
    """MLflow's client sends a request again whose answer does not come, so that the server does it more than once."""
    for n in range(1, 200):
        calls, pretend = 0, Pretend(n)

        def around(call: Callable[[], Any], n: int = n) -> Any:
            nonlocal calls
            calls += 1
            for _ in range(times if calls == n else 0):
                call()
            return call()

        log_to(pretend, folder, around)
        assert_whole(pretend, folder)
        if calls < n:
            break
    assert n > 25


def test_another_process_logs_the_folder_between_any_two_calls(folder: RunFolder) -> None:
    """Wholly, or until it is killed."""
    for n in range(1, 200):
        for until in (3, 5, 8, 12, 20, 100):
            calls, pretend = 0, Pretend(n)

            def around(call: Callable[[], Any], n: int = n, until: int = until, pretend: Pretend = pretend) -> Any:
                nonlocal calls
                calls += 1
                if calls == n:
                    was_killed(pretend, folder, until, before=False)
                return call()

            log_to(pretend, folder, around)
            assert_whole(pretend, folder)
        if calls < n:
            break
    assert n > 25


class Turns:
    """Lets threads take turns, one call of a store each, in an order that a seed decides."""

    def __init__(self, seed: int, threads: int) -> None:
        self._chance, self._left = random.Random(seed), set(range(threads))
        self._changed = threading.Condition()
        self._waiting: set[int] = set()
        self._turn: int | None = None
        self.me = threading.local()

    def call(self, call: Callable[[], Any]) -> Any:
        with self._changed:
            self._waiting.add(self.me.number)
            self._deal()
            self._changed.wait_for(lambda: self._turn == self.me.number)
        try:
            return call()
        finally:
            with self._changed:
                self._turn = None

    def end(self) -> None:
        with self._changed:
            self._left.discard(self.me.number)
            self._deal()

    def _deal(self) -> None:
        """Say whose turn it is, once all threads wait."""
        if self._turn is None and self._waiting == self._left and self._left:
            self._turn = self._chance.choice(sorted(self._waiting))
            self._waiting.discard(self._turn)
            self._changed.notify_all()


@pytest.mark.parametrize("with_a_kill", [False, True])
def test_three_that_log_the_folder_at_once_end_with_the_same_runs(
    folder: RunFolder, with_a_kill: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.tracking.log.time.sleep", lambda s: None)
    for seed in range(TRIES):
        pretend, turns, ends = Pretend(seed), Turns(seed, 3), []
        monkeypatch.setattr(store, "client", lambda *uris, p=pretend, t=turns: PretendClient(p, t.call))
        kill = killed_at(random.Random(seed).randint(1, 60), before=False)

        def work(number: int, turns: Turns = turns, kill: Around = kill, ends: list[str] = ends) -> None:
            turns.me.number = number
            try:
                if with_a_kill and number == 0:
                    monkeypatch.setattr(turns, "call", lambda call, turn=turns.call: turn(lambda: kill(call)))
                ends.append(log(folder, "pretend://").run_id)
            except Killed:
                pass
            except Exception as error:
                ends.append(repr(error))
            finally:
                turns.end()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        again = log_to(pretend, folder)
        assert_whole(pretend, folder)
        assert not again.created
        assert set(ends) == {again.run_id}, (seed, ends)


def test_a_store_that_keeps_nothing_is_no_success(folder: RunFolder) -> None:
    for forgets in ("create_run", "set_tag", "log_artifact"):
        pretend = Pretend(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PretendClient, forgets, lambda *given, **named: None)
            with pytest.raises(TrackingError, match="cannot be used"):
                log_to(pretend, folder)
        assert sum(run.tags["sim.key"] == folder.record.key for run in pretend.runs.values()) <= 1


def test_results_that_were_replaced_before_they_were_logged_are_not_running_for_ever(folder: RunFolder) -> None:
    pretend = Pretend(0)
    assert was_killed(pretend, folder, 15, before=False)
    assert "RUNNING" in {run.status for run in pretend.runs.values()}
    later = read_folder(write_folder(folder.path / "again", ticks=2, started_at="2026-01-03T00:00:00Z"))
    log_to(pretend, later, unfinished=[folder.record.key])
    assert {run.status for run in pretend.runs.values()} == {"FINISHED", "KILLED"}
    assert not any(run.deleted for run in pretend.runs.values())


def test_an_experiment_that_is_named_has_a_set_of_its_own(folder: RunFolder) -> None:
    pretend = Pretend(0)
    here_first = log_to(pretend, folder)
    assert log_to(pretend, folder, experiment="team").created
    assert not log_to(pretend, folder, experiment="team").created
    assert log_to(pretend, folder).run_id == here_first.run_id
    assert not any(run.deleted for run in pretend.runs.values())
    # Half a set elsewhere does not stay open.
    other = Pretend(1)
    assert was_killed(other, folder, 15, before=True)
    log_to(other, folder, experiment="team")
    assert "RUNNING" not in {run.status for run in other.runs.values()}


@pytest.mark.parametrize("n", [5, 9, 12, 16])
def test_a_real_store_is_completed_too(tmp_path: Path, uri: str, mlflow: MlflowClient, n: int) -> None:
    place = write_folder(tmp_path, digest=f"killed-{n}", ticks=2)
    around = killed_at(n, before=False)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in vars(PretendClient) if not name.startswith("_") and name != "tracking_uri"]:
            original = getattr(MlflowClient, name)
            patch.setattr(MlflowClient, name, lambda *given, _call=original, **named: around(lambda: _call(*given, **named)))
        with pytest.raises(Killed):
            here(place, uri)
    here(place, uri)
    is_whole(mlflow, place)
