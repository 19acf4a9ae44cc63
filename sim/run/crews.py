"""Which crew a run is played on: that of an executor, of a cluster, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sim.errors import InputError, Problem
from sim.run.crew import playing_on

if TYPE_CHECKING:
    from concurrent.futures import Executor


@contextmanager
def crew_for(
    executor: Executor | None, cluster: str | None, workers: int | None, noted: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Let an executor or the cluster at an address play all tasks meanwhile; with neither, nothing changes.

    `workers` is how many tasks the executor plays at once; a cluster knows it. `noted` is called with lines about workers that
    are left out. Raises `InputError` where the executor or the cluster cannot be used.
    """
    if executor is not None and cluster is not None:
        raise InputError([Problem("cannot be given together with an executor", "--cluster")])
    if executor is not None:
        from sim.run.on_executor import crew_of

        with playing_on(crew_of(executor, workers)):
            yield
        return
    if cluster is None:
        yield
        return
    if workers is not None:
        message = f"cannot be given together with --cluster, whose workers are counted; got {workers}"
        raise InputError([Problem(message, "--workers")])
    from sim.run.on_dask import cluster_at

    with cluster_at(cluster) as crew:
        crew.tell = noted
        with playing_on(crew):
            yield
