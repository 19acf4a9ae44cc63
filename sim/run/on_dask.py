"""Tasks on a Dask cluster: one that others started, or a local one that lives as long as the run."""

from __future__ import annotations

import logging
import queue
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem, shortened
from sim.run.blocks import Task
from sim.run.crew import GO_ON, ClusterError, Crew
from sim.run.machine import later
from sim.run.shipped import Answer, Other, Parcel, answer, differences, program

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

ANSWERS_S = 10.0
"""How long a scheduler may take to answer, and its first worker to come."""
PATIENCE_S = 300.0
"""How long a run waits, once it has begun, for a worker where there is none."""
_LOOK_S = 0.5
# Dask gives a task up after it was on four workers that died. It goes back so often, as it may only have been unlucky.
_UNLUCKY = 5
_FETCH_S = 600.0
_MOST_LOCAL = 512
_LOCAL = re.compile(r"local:([0-9]{1,6})")
# A host name, an address of IPv4, or one of IPv6 in brackets; Dask has other protocols, which need packages of their own.
_ADDRESS = re.compile(r"(?:tcp|tls|ws|wss)://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):([0-9]{1,5})")


def read_address(text: str) -> int | None:
    """The number of workers of `local:N`; None for the address of a scheduler. Raises `InputError` for anything else.

    >>> read_address("local:2"), read_address("tcp://scheduler:8786")
    (2, None)
    >>> read_address("scheduler:8786")
    Traceback (most recent call last):
    sim.errors.InputError: --cluster: must be the address of a Dask scheduler, as tcp://scheduler:8786, or local:N with N \
from 1 to 512; got 'scheduler:8786'
    """
    found = _LOCAL.fullmatch(text)
    if found and 1 <= int(found[1]) <= _MOST_LOCAL:
        return int(found[1])
    address = _ADDRESS.fullmatch(text)
    if address and 1 <= int(address[1]) <= 65_535:
        return None
    rule = f"must be the address of a Dask scheduler, as tcp://scheduler:8786, or local:N with N from 1 to {_MOST_LOCAL}"
    raise InputError([Problem(f"{rule}; got {shortened(text, 60)!r}", "--cluster")])


@contextmanager
def cluster_at(address: str) -> Iterator[OnDask]:
    """The crew of a cluster, which is left as it was at the end, or ended if it is a local one.

    Raises `InputError` where Dask is not installed, nothing answers, there are no workers, or one runs another program.
    """
    count = read_address(address)
    distributed = _distributed()
    local: LocalCluster | None = None
    client: Client | None = None
    try:
        # A terminal sends Ctrl-C, and that it is closed, to all of its processes. Threads and workers that are started here
        # leave both to this thread.
        with later("SIGINT", "SIGHUP"):
            if count is not None:
                local = distributed.LocalCluster(
                    n_workers=count, threads_per_worker=1, processes=True, dashboard_address=":0",
                    silence_logs=logging.CRITICAL, memory_limit=0,
                )  # fmt: skip
            try:
                client = distributed.Client(local or address, timeout=ANSWERS_S, set_as_default=False)
            except (OSError, ValueError) as error:
                message = f"no Dask scheduler answers at {address} within {ANSWERS_S:g} s: start one there, or mend the address"
                raise InputError([Problem(f"{message} ({_short(error)})", "--cluster")]) from error
        crew = OnDask(client, address, count or 0)
        crew.check()
        yield crew
    finally:
        # An error of tidying up must not hide why the run ended.
        with suppress(Exception):
            if local is not None:
                _kill(local)
        with suppress(Exception):
            if client is not None:
                client.close(timeout=2)
        with suppress(Exception):
            if local is not None:
                local.close(timeout=5)


def _distributed() -> Any:
    """The module of Dask's clusters, which says nothing by itself: what the run must know, it is told by its own errors."""
    try:
        import distributed
    except ImportError as error:
        message = f"needs Dask, which is not installed here ({error}): pip install 'rollout-sim[cluster]'"
        raise InputError([Problem(message, "--cluster")]) from error
    for name in ("distributed", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def _kill(local: LocalCluster) -> None:
    """End the workers of a local cluster now, even if they are working. What they play is played again by the next run."""
    for nanny in list(local.workers.values()):
        nanny.auto_restart = False
        process = nanny.process and nanny.process.process
        if process is not None and process.is_alive():
            process._process.kill()


class OnDask(Crew):
    """Plays tasks on the workers of a scheduler, `here` of which are on this machine.

    The parcel is the result of a task of its own, which every task needs: the scheduler sees that each worker gets it once, and
    that it is there again where all who had it died.
    """

    def __init__(self, client: Client, name: str, here: int = 0) -> None:
        self.name, self.here = name, here
        self._client = client
        self._threads: dict[str, int] = {}
        self._looked = -1.0
        self._alone_since: float | None = None
        self._refused: set[str] = set()
        self._parcel: tuple[str, Future[bytes]] | None = None
        # The allowed workers of bundles that may not go everywhere, and how often a bundle was given up.
        self._only: dict[Any, frozenset[str]] = {}
        self._given_up: dict[Task, int] = {}
        self._first: dict[Any, Task] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._sent = 0

    @property
    def workers(self) -> int:
        now = time.monotonic()
        if self._looked < 0 or now - self._looked > _LOOK_S:
            self._look()
        return sum(self._allowed().values())

    def _allowed(self) -> dict[str, int]:
        return {each: threads for each, threads in self._threads.items() if each not in self._refused}

    def _look(self) -> None:
        """Ask the scheduler who its workers are. Raises `ClusterError` if it is gone, or there was no worker for long."""
        try:
            if self._client.status != "running":
                raise OSError(f"the client is {self._client.status}")
            self._threads = dict(self._client.nthreads())
        except (OSError, TimeoutError, AttributeError, RuntimeError) as error:
            raise self._gone() from error
        now = self._looked = time.monotonic()
        if self._allowed():
            self._alone_since = None
            return
        self._alone_since = self._alone_since or now
        if now - self._alone_since > PATIENCE_S:
            raise ClusterError(f"the cluster {self.name} has had no worker for {PATIENCE_S:g} s; start some; {GO_ON}")

    def _gone(self) -> ClusterError:
        return ClusterError(f"the scheduler of the cluster {self.name} went away; {GO_ON}")

    def check(self) -> None:
        """Raise `InputError`, which names every worker that cannot play, unless all and the scheduler run the same program."""
        try:
            self._client.wait_for_workers(1, timeout=ANSWERS_S)
        except TimeoutError:
            message = f"the cluster {self.name} has no workers, and none came within {ANSWERS_S:g} s: start some"
            raise InputError([Problem(message, "--cluster")]) from None
        try:
            unfit = [*self._unfit().items()]
            # The scheduler reads the tasks, too, before it passes them on.
            try:
                theirs: Any = self._client.run_on_scheduler(program)
            except (ImportError, AttributeError) as error:
                theirs = error
            if why := _why_unfit(theirs):
                unfit.append(("the scheduler", why))
        except OSError as error:
            raise self._gone() from error
        if unfit:
            raise InputError([Problem(f"{worker} {why}: install the same there as here", "--cluster") for worker, why in unfit])

    def _unfit(self) -> dict[str, str]:
        """The workers that cannot play for this run, each with the reason."""
        found = self._client.run(program, on_error="return")
        return {worker: why for worker, theirs in sorted(found.items()) if (why := _why_unfit(theirs))}

    def ship(self, parcel: Parcel) -> None:
        # Dask warns of large arguments, as they pass through the scheduler: this one does once a run.
        with warnings.catch_warnings(), self._reached():
            warnings.simplefilter("ignore")
            future = self._client.submit(bytes, parcel.content, key=f"sim-parcel-{parcel.digest[:16]}", pure=True)
        self._parcel = parcel.digest, future

    def send(self, bundle: Sequence[Task], again: bool) -> Any:
        assert self._parcel is not None
        digest, content = self._parcel
        allowed = frozenset(self._allowed()) if self._refused else None
        self._sent += 1
        first = bundle[0]
        key = f"sim-{digest[:12]}-{first.name}-{self._sent}"
        with self._reached():
            future = self._client.submit(
                answer, program(), digest, content, tuple(bundle), key=key, pure=False, workers=sorted(allowed or ()) or None
            )
        if allowed:
            self._only[future] = allowed
        self._first[future] = first
        future.add_done_callback(self._done.put)
        return future

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, AttributeError) as error:
            raise self._gone() from error

    def answers(self, waiting: dict[Any, tuple[Task, ...]]) -> list[tuple[Any, Answer | None]]:
        done = []
        with suppress(queue.Empty):
            done.append(self._done.get(timeout=_LOOK_S))
            while True:
                done.append(self._done.get_nowait())
        if not done:
            self._look()
            return [(future, None) for future in self._lost(waiting)]
        # A bundle that was dropped may still come.
        return [(future, self._answer(future)) for future in done if future in waiting]

    def _lost(self, waiting: dict[Any, tuple[Task, ...]]) -> list[Any]:
        """Bundles that may only go to workers of which none is there any more; they are cancelled, to be sent again."""
        there = set(self._threads)
        lost = [future for future, only in self._only.items() if future in waiting and not only & there]
        for future in lost:
            self._forget(future)
            future.cancel()
        return lost

    def _forget(self, future: Any) -> Task:
        self._only.pop(future, None)
        return self._first.pop(future)

    def _answer(self, future: Any) -> Answer | None:
        from distributed import KilledWorker

        first = self._forget(future)
        if future.status == "cancelled" or self._client.status != "running":
            raise self._gone()
        try:
            found: Answer = future.result(timeout=_FETCH_S)
            return found
        except KilledWorker as error:
            times = self._given_up[first] = self._given_up.get(first, 0) + 1
            if times < _UNLUCKY:
                return None
            message = f"{4 * times} workers died while they played policy {first.policy!r}, perhaps for want of memory"
            raise ClusterError(f"{message}: give them more, or play shorter ticks; {GO_ON}") from error
        except CancelledError as error:
            raise self._gone() from error
        except (ImportError, AttributeError) as error:
            # A worker that came later may lack the program.
            if not self._leave_out():
                message = f"a worker cannot load rollout-sim ({_short(error)}): install the same there as here"
                raise ClusterError(f"{message}; {GO_ON}") from error
            return None
        except OSError as error:
            if self._client.status != "running":
                raise self._gone() from error
            # The worker that has the result died before it was fetched: it is played again.
            return None

    def refuse(self, other: Other) -> None:
        self._leave_out()

    def _leave_out(self) -> bool:
        """Send nothing more to workers that cannot play for this run. Returns whether there are any."""
        with self._reached():
            unfit = self._unfit()
        for worker in unfit.keys() - self._refused:
            if self.tell:
                self.tell(f"{worker} {unfit[worker]}; it is left out")
        self._refused |= unfit.keys()
        self._look()
        if unfit and not self._allowed():
            told = "; ".join(f"{worker} {why}" for worker, why in unfit.items())
            raise ClusterError(f"no worker of {self.name} can play: {told}: install the same there as here; {GO_ON}")
        return bool(unfit)

    def drop(self, handles: Sequence[Any]) -> None:
        with suppress(Exception):
            self._client.cancel([*handles], force=True)
        self._only.clear()
        self._first.clear()
        self._parcel = None


def _why_unfit(theirs: Any) -> str:
    """Why a worker that answered so cannot play; empty if it can, or if it died meanwhile, as workers may."""
    if isinstance(theirs, OSError):
        return ""
    if isinstance(theirs, BaseException):
        return f"cannot load rollout-sim ({_short(theirs)})"
    differs = differences(theirs, program())
    return f"has another program: {differs}" if differs else ""


def _short(error: BaseException) -> str:
    return shortened(" ".join(str(error).split()) or type(error).__name__, 160)
