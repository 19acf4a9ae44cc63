"""The runs of a run folder in a store: how they are found again, and which of them stay where there are too many."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "sim.folder"
"""The tag of every run of a folder: the folder's key."""
KEY = "sim.key"
"""The tag with the run's own key; that of the scenario's run is the folder's."""
CREATED = "sim.created"
"""The tag that says when this program created the run; runs that others created have none."""
LOGGED = "sim.logged"
"""The tag of a run that is logged whole: a fingerprint of what was logged."""
PARENT = "mlflow.parentRunId"

# A page of runs must stay far below the longest answer that is read; so must the ids of a request.
_RUNS, _EXPERIMENTS = 100, 1000


@dataclass(frozen=True)
class Found:
    """A run that is in the store, and not deleted. `created` is empty where another program created it."""

    run_id: str
    experiment_id: str
    key: str
    parent: str
    created: str
    logged: str
    running: bool
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Settled:
    """What becomes of the runs that were found.

    `parent` is the scenario's run, `nested` its nested runs by their keys. `superfluous` are to be deleted, and `open` are
    records that stay beside these, but are RUNNING though nobody goes on with them.
    """

    parent: Found | None
    nested: Mapping[str, Found]
    superfluous: tuple[Found, ...]
    open: tuple[Found, ...]


def settle(found: Sequence[Found], key: str, *, given: str | None = None, experiment: str | None = None) -> Settled:
    """Which runs of the folder with this key stay: of several with one key the oldest, then the least run id.

    `given` is the id of the run that the scenario has to be logged to, whatever else there is. `experiment` is where the runs
    have to be; if it is left out, where the oldest is. Those of other experiments are records of their own. The rule reads only
    what never changes of a run, and never removes the first one. So processes that log the same folder at once all end with the
    same runs.

    >>> late, soon = (Found(run_id, "1", "k", "", created, "", True) for run_id, created in (("a", "10:01"), ("b", "10:00")))
    >>> settled = settle([late, soon], "k")
    >>> settled.parent.run_id, [run.run_id for run in settled.superfluous]
    ('b', ['a'])
    """
    scenarios = sorted((run for run in found if run.key == key), key=_age)
    if given is not None:
        parent = next((run for run in scenarios if run.run_id == given), None)
        beside = [run for run in scenarios if run.run_id != given]
    else:
        where = experiment or next((run.experiment_id for run in scenarios), None)
        mine = [run for run in scenarios if run.experiment_id == where]
        parent = mine[0] if mine else None
        beside = [run for run in scenarios if run not in mine or (run is not parent and not run.created)]
    here = parent.run_id if parent else given
    kept = {run.run_id for run in beside}
    superfluous = [run for run in scenarios if run is not parent and run.run_id not in kept]
    still_open = [run for run in beside if run.running]
    nested: dict[str, Found] = {}
    for run in sorted((run for run in found if run.key != key), key=_age):
        if run.parent in kept:
            still_open += [run] if run.running else []
        elif run.parent == here and run.key not in nested:
            nested[run.key] = run
        else:
            superfluous.append(run)
    return Settled(parent, nested, tuple(superfluous), tuple(still_open))


def _age(run: Found) -> tuple[str, str]:
    return run.created, run.run_id


def experiments(client: MlflowClient) -> list[str]:
    """The ids of all experiments of the store."""
    token, ids = None, []
    while True:
        page = client.search_experiments(max_results=_EXPERIMENTS, page_token=token)
        ids += [str(experiment.experiment_id) for experiment in page]
        token = _next(page.token, token)
        if token is None:
            return ids


def find(client: MlflowClient, key: str, among: Iterable[str]) -> list[Found]:
    """The runs of the folder with this key in these experiments."""
    ids = list(dict.fromkeys(among))
    found: list[Found] = []
    for at in range(0, len(ids), _EXPERIMENTS):
        found += _pages(client, ids[at : at + _EXPERIMENTS], key)
    # Another process may create runs between two pages, which shifts the later page.
    return list({run.run_id: run for run in found}.values())


def _pages(client: MlflowClient, ids: list[str], key: str) -> Iterator[Found]:
    token = None
    while True:
        page = client.search_runs(ids, f"tags.`{FOLDER}` = '{key}'", max_results=_RUNS, page_token=token)
        for run in page:
            tags = run.data.tags
            if not run.info.run_id or tags.get(FOLDER) != key:
                raise TrackingError("the store answers a search with runs that were not asked for: it cannot be used")
            own, parent, created, logged = (tags.get(tag, "") for tag in (KEY, PARENT, CREATED, LOGGED))
            running = run.info.status in ("RUNNING", "SCHEDULED")
            data = run.data.params, run.data.metrics
            yield Found(run.info.run_id, str(run.info.experiment_id), own, parent, created, logged, running, *data)
        token = _next(page.token, token)
        if token is None:
            return


def _next(token: str | None, last: str | None) -> str | None:
    """The token of the next page, None after the last one."""
    if token and token == last:
        raise TrackingError("the store answers every page with the same next page: it cannot be used")
    return token or None


def remove(client: MlflowClient, runs: Iterable[Found]) -> None:
    """Delete runs. Those that another process deleted first are deleted as well."""
    for run in runs:
        end(client, [run] if run.running else [])
        with _gone():
            client.delete_run(run.run_id)


def end(client: MlflowClient, runs: Iterable[Found]) -> None:
    """Mark runs as KILLED."""
    for run in runs:
        with _gone():
            client.set_terminated(run.run_id, "KILLED")


@contextlib.contextmanager
def _gone() -> Iterator[None]:
    """Let a run be gone already: another process that logs the same folder removes the same runs."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE"):
            raise
