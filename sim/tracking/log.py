"""Log a run folder to a store: a run for the scenario, nested runs for its policies or points. Logging again adds nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sim.errors import TrackingError
from sim.registry import store
from sim.tracking import inputs, page
from sim.tracking.entries import TAG, Entry, nested_entries, scenario_entry
from sim.tracking.folder import RunFolder
from sim.tracking.runs import CREATED, FOLDER, KEY, LOGGED, PARENT, Found, end, experiments, find, remove, settle

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run, RunTag

EXPERIMENT = "rollout-simulations"
"""The default experiment."""

NOTE = "mlflow.note.content"
"""The tag that MLflow's page shows as the description of a run."""

# MLflow's limits for one request: all in all; params, and as many tags.
_BATCH, _SETTINGS = 1000, 100
# A folder that nobody else logs takes four rounds; every other process that logs it at the same time may undo a few.
_ROUNDS = 40
_REFUSALS = 4
# Some stores show a new run only after a while.
_PATIENCE_S = 0.2


@dataclass(frozen=True)
class Progress:
    """How much is logged whole."""

    runs: int
    of_runs: int
    files: int
    of_files: int


Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class Logged:
    """The scenario's run: its id, its experiment, and whether it is new.

    `unmarked` says why its versions do not name it; empty if they do.
    """

    run_id: str
    experiment_id: str
    created: bool
    unmarked: str = ""


def log(
    folder: RunFolder, uri: str, experiment: str | None = None, *, unfinished: Sequence[str] = (), tell: Tell = lambda _: None
) -> Logged:
    """Log a folder to the store `uri`. `tell` is called whenever more of it is logged.

    Works in rounds. A round looks what carries the folder's key, removes what is superfluous, and does the next thing that
    is missing; the last one finds that nothing is. So whatever an earlier attempt left is completed, what other processes
    made at the same time is seen, and what is not there though the server said so is noticed.

    `unfinished` are the keys of earlier results of the folder that were not logged whole; their runs end as KILLED.
    Raises `TrackingError` if the store cannot be reached, refuses, or does not keep what is logged, and `InputError` if a file
    of the folder cannot be read.
    """
    entries = (scenario_entry(folder), *nested_entries(folder))
    client = store.client(uri, uri)
    with store.reaching(client):
        logging = _Logging(client, folder, entries, experiment, tell)
        logging.end(unfinished)
        refused = 0
        for _ in range(_ROUNDS):
            try:
                logged = logging.round()
            except Exception as error:
                refused += 1
                if refused == _REFUSALS or not _answered(client, error):
                    raise
                # Where two processes write the same rows at once, the store lets one of them fail.
                time.sleep(0.1 * 2**refused)
            else:
                if logged:
                    return logged
    raise TrackingError(f"the MLflow store {store.shown(uri)} cannot be used: what is logged there is not there afterwards")


def _answered(client: MlflowClient, error: Exception) -> bool:
    """Whether the store itself failed or refused; trying again makes no sense where it cannot be reached.

    An answer that is cut off is one: MLflow's client asks again where none comes, but not where a part of it does.
    """
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException, RestException
    from requests.exceptions import ChunkedEncodingError

    if client.tracking_uri.startswith("http"):
        return isinstance(error, RestException) or isinstance(error.__context__, ChunkedEncodingError)
    return isinstance(error, MlflowException | sqlalchemy.exc.SQLAlchemyError)


class _Logging:
    """One folder on its way into one store. `entries` are those of the scenario's run, and of its nested runs."""

    def __init__(
        self, client: MlflowClient, folder: RunFolder, entries: Sequence[Entry], experiment: str | None, tell: Tell
    ) -> None:
        self._client, self._folder, self._tell = client, folder, tell
        self._scenario, *self._nested = entries
        self._around = _run_of_environment(client)
        key = folder.record.key
        self._given = self._around if self._around and self._around.data.tags.get(KEY, key) == key else None
        self._named = None if experiment is None or self._around else store.experiment(client, experiment)
        self._among = experiments(client)
        self._made: dict[tuple[str, str], str] = {}

    def end(self, keys: Sequence[str]) -> None:
        """End the runs of other results that nobody will complete."""
        for key in keys:
            end(self._client, [run for run in find(self._client, key, self._among) if run.running])

    def round(self) -> Logged | None:
        """Do the next thing that is missing; the scenario's run once nothing is."""
        key = self._folder.record.key
        given = self._given.info.run_id if self._given else None
        settled = settle(find(self._client, key, self._among), key, given=given, experiment=self._named)
        remove(self._client, settled.superfluous)
        end(self._client, settled.open)
        parent = settled.parent
        if parent is None and self._given is not None:
            self._log(_found(self._given), self._scenario)
            return None
        if parent is None:
            around = {PARENT: self._around.info.run_id} if self._around else {}
            self._create(self._scenario, self._experiment(), around)
            return None
        lacking = [entry for entry in self._nested if entry.key not in settled.nested]
        for entry in lacking:
            self._create(entry, parent.experiment_id, {PARENT: parent.run_id})
        if lacking:
            return None
        if self._complete(parent, settled.nested):
            return None
        return Logged(
            parent.run_id, parent.experiment_id, created=parent.created == self._made.get((parent.key, parent.parent))
        )

    def _experiment(self) -> str:
        """The experiment of a new run."""
        if self._around:
            return str(self._around.info.experiment_id)
        experiment = self._named or _experiment(self._client)
        self._among = list(dict.fromkeys((*self._among, experiment)))
        return experiment

    def _create(self, entry: Entry, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Create a run. It is searched for in the next round: its answer may be lost, or others may have created it too."""
        made = entry.key, tags.get(PARENT, "")
        if made in self._made:
            # It is never created a second time, as what is not seen may still be there.
            time.sleep(_PATIENCE_S)
            return
        stamp = datetime.now(UTC).isoformat(timespec="microseconds")
        own = {**tags, FOLDER: self._folder.record.key, KEY: entry.key, CREATED: stamp}
        own |= {"mlflow.source.name": "rollout-sim", "mlflow.source.type": "LOCAL"}
        if name := store.user():
            own["mlflow.user"] = name
        self._client.create_run(experiment_id, start_time=entry.start_ms, tags=own, run_name=entry.name)
        self._made[made] = stamp

    def _complete(self, parent: Found, nested: Mapping[str, Found]) -> bool:
        """Log what is not logged whole yet; whether there was anything."""
        client, folder = self._client, self._folder
        left = [entry for entry in self._nested if nested[entry.key].logged != entry.fingerprint]
        given = self._given is not None and self._given.info.run_id == parent.run_id
        if not left and parent.logged == folder.fingerprint and (given or not parent.running):
            return False
        runs, files = len(self._nested) - len(left), 0

        def tell() -> None:
            self._tell(Progress(runs, len(self._nested) + 1, files, len(folder.files)))

        page.prepare(client, parent.experiment_id)
        self._log(parent, self._scenario)
        models = inputs.models(folder, client)
        client.log_inputs(parent.run_id, datasets=inputs.datasets(folder), models=models)
        told = page.description(
            folder,
            parent.experiment_id,
            parent.run_id,
            nested=bool(nested),
            models={each.model_id for each in models},
            most=TAG,
        )
        if told:
            client.set_tag(parent.run_id, NOTE, told)
        tell()
        for entry in left:
            child = nested[entry.key]
            self._log(child, entry)
            client.set_terminated(child.run_id, "FINISHED", entry.end_ms)
            client.set_tag(child.run_id, LOGGED, entry.fingerprint)
            runs += 1
            tell()
        for file in folder.files:
            with uploading(client):
                client.log_artifact(parent.run_id, str(file))
            files += 1
            tell()
        self._check_files(parent)
        # The process that started the run of MLFLOW_RUN_ID also ends it, by our exit code (see MLproject).
        interrupted = folder.record.status == "interrupted"
        if interrupted or not given:
            client.set_terminated(parent.run_id, "KILLED" if interrupted else "FINISHED", folder.record.end_ms)
        client.set_tag(parent.run_id, LOGGED, folder.fingerprint)
        runs += 1
        tell()
        return True

    def _check_files(self, parent: Found) -> None:
        """Raise `TrackingError` if a file is not there: a server or a proxy may answer an upload with a page of its own."""
        with uploading(self._client):
            there = {each.path: each.file_size for each in self._client.list_artifacts(parent.run_id)}
            lost = [file.name for file in self._folder.files if there.get(file.name, -1) not in (None, file.stat().st_size)]
        if lost:
            where = store.shown(self._client.tracking_uri)
            raise TrackingError(f"the MLflow store {where} cannot be used: it took {', '.join(lost)}, but does not have it")

    def _log(self, run: Found, entry: Entry) -> None:
        from mlflow.entities import Metric, Param, RunTag

        # A param is written once in MLflow; `mlflow run` may have written some.
        params = [Param(key, value) for key, value in entry.params.items() if key not in run.params]
        tags = [RunTag(key, value) for key, value in entry.tags.items()]
        metrics = [Metric(point.key, point.value, entry.start_ms, point.step) for point in entry.series]
        for key, value in entry.estimates.items():
            before = run.metrics.get(key)
            if before != value:
                # Of two values at the same time MLflow shows the greater, so a corrected value needs a later time.
                at_ms = entry.end_ms if before is None else round(time.time() * 1000)
                metrics.append(Metric(key, value, at_ms, 0))
        for batch in _batches(metrics, params, tags):
            self._client.log_batch(run.run_id, **batch)


def _batches(metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]) -> Iterator[dict[str, Any]]:
    """What is logged, in as few requests as MLflow's limits allow.

    >>> [[len(batch[what]) for what in ("metrics", "params", "tags")] for batch in _batches([0] * 1100, [0] * 120, [0] * 30)]
    [[870, 100, 30], [230, 20, 0]]
    """
    while metrics or params or tags:
        batch = {"params": params[:_SETTINGS], "tags": tags[:_SETTINGS]}
        room = _BATCH - sum(map(len, batch.values()))
        yield {**batch, "metrics": metrics[:room]}
        metrics, params, tags = metrics[room:], params[_SETTINGS:], tags[_SETTINGS:]


def _found(run: Run) -> Found:
    """A run that does not carry the folder's key yet."""
    return Found(run.info.run_id, str(run.info.experiment_id), "", "", "", "", True, run.data.params, run.data.metrics)


def _run_of_environment(client: MlflowClient) -> Run | None:
    """The run that MLFLOW_RUN_ID names; None if `client` is not of the store that the environment names."""
    from mlflow.exceptions import MlflowException

    run_id = os.environ.get("MLFLOW_RUN_ID", "").strip()
    if not run_id or client.tracking_uri != store.default_uri():
        return None
    try:
        run = client.get_run(run_id)
        if run.info.lifecycle_stage == "active":
            return run
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
    raise TrackingError(f"MLFLOW_RUN_ID names the run {run_id!r}, which {store.shown(client.tracking_uri)} does not have")


def _experiment(client: MlflowClient) -> str:
    """The experiment that the environment names, else the default one."""
    if not os.environ.get("MLFLOW_EXPERIMENT_NAME") and os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    return store.experiment(client, os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT)


@contextlib.contextmanager
def uploading(client: MlflowClient) -> Iterator[None]:
    """Raise every failed upload as a `TrackingError`: each artifact store has its own library (boto3, azure, …) and errors."""
    try:
        yield
    except Exception as error:
        # The error may quote the address with its password, so it must not be printed as the cause.
        uri = client.tracking_uri
        why = f"{type(error).__name__}: {store.said(error, uri)}"
        raise TrackingError(f"the artifacts cannot be written to {store.shown(uri)}: {why}") from None
