"""A store in memory that answers as MLflow's do, so that thousands of kills and races can be tried."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from mlflow.entities import Experiment, ExperimentTag, Metric, Param, Run, RunData, RunInfo, RunInputs, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities import PagedList

Around = Callable[[Callable[[], Any]], Any]


class Pretend:
    """The store. `runs` has every run ever created, by its id."""

    def __init__(self, seed: int) -> None:
        self.names: list[str] = ["Default"]
        self.runs: dict[str, SimpleNamespace] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self._chance, self._numbers = random.Random(seed), itertools.count()

    def active(self, run_id: str) -> SimpleNamespace:
        """A run that may be changed."""
        run = self.any(run_id)
        if run.deleted:
            raise MlflowException(f"The run {run_id} must be in the 'active' state.", INVALID_PARAMETER_VALUE)
        return run

    def any(self, run_id: str) -> SimpleNamespace:
        """A run, deleted or not."""
        if run_id not in self.runs:
            raise MlflowException(f"Run {run_id} not found", RESOURCE_DOES_NOT_EXIST)
        return self.runs[run_id]

    def new_id(self) -> str:
        """Ids are not in the order of creation, as MLflow's are not."""
        return f"{self._chance.getrandbits(64):016x}{next(self._numbers):04x}"


class PretendClient:
    """What logging asks of an `MlflowClient`; every call goes through `around`."""

    tracking_uri = "pretend://"

    def __init__(self, store: Pretend, around: Around) -> None:
        self._store, self._around = store, around

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name.startswith("_") or not callable(found):
            return found
        around = object.__getattribute__(self, "_around")
        return lambda *given, **named: around(lambda: found(*given, **named))

    def search_experiments(self, max_results: int, page_token: str | None = None) -> PagedList[Experiment]:
        found = [Experiment(str(at), name, "", "active") for at, name in enumerate(self._store.names)]
        first = int(page_token or 0)
        return PagedList(found[first : first + max_results], str(first + max_results) if found[first + max_results :] else None)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        if name not in self._store.names:
            return None
        return Experiment(str(self._store.names.index(name)), name, "", "active")

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        if name in self._store.names:
            raise MlflowException(f"{name} exists", RESOURCE_ALREADY_EXISTS)
        self._store.names.append(name)
        return str(len(self._store.names) - 1)

    def get_experiment(self, experiment_id: str) -> Experiment:
        tags = [ExperimentTag(*each) for each in self._store.tags.get(experiment_id, {}).items()]
        return Experiment(experiment_id, self._store.names[int(experiment_id)], "", "active", tags)

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        self._store.tags.setdefault(experiment_id, {})[key] = value

    def search_runs(
        self, ids: Sequence[str], filter_string: str, max_results: int, page_token: str | None = None
    ) -> PagedList[Run]:
        _, tag, _, value, _ = filter_string.replace("'", "`").split("`")
        runs = [run for run in self._store.runs.values() if run.experiment in ids and run.tags.get(tag) == value]
        found = [self._entity(run) for run in runs if not run.deleted]
        first = int(page_token or 0)
        return PagedList(found[first : first + max_results], str(first + max_results) if found[first + max_results :] else None)

    def create_run(self, experiment: str, start_time: int, tags: Mapping[str, str], run_name: str) -> Run:
        run_id = self._store.new_id()
        run = SimpleNamespace(
            id=run_id, experiment=experiment, tags=dict(tags), params={}, metrics={}, status="RUNNING", deleted=False, files={}
        )
        self._store.runs[run_id] = run
        return self._entity(run)

    def delete_run(self, run_id: str) -> None:
        self._store.any(run_id).deleted = True

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = ()
    ) -> None:
        run = self._store.active(run_id)
        for param in params:
            if run.params.setdefault(param.key, param.value) != param.value:
                raise MlflowException(f"Changing param values is not allowed: {param.key}", INVALID_PARAMETER_VALUE)
        run.metrics |= {metric.key: metric.value for metric in metrics}
        run.tags |= {tag.key: tag.value for tag in tags}

    def log_inputs(self, run_id: str, datasets: Sequence[Any], models: Sequence[Any]) -> None:
        self._store.active(run_id)

    def log_artifact(self, run_id: str, file: str) -> None:
        # Files do not go through the store of runs, which may have deleted the run.
        run = self._store.any(run_id)
        run.files[file.rpartition("/")[2]] = None

    def list_artifacts(self, run_id: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(path=path, file_size=size) for path, size in self._store.any(run_id).files.items()]

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._store.active(run_id).tags[key] = value

    def set_terminated(self, run_id: str, status: str, end_time: int | None = None) -> None:
        self._store.active(run_id).status = status

    def _entity(self, run: SimpleNamespace) -> Run:
        info = RunInfo(run.id, run.experiment, "user", run.status, 0, None, "active", run_name="")
        data = RunData(
            [Metric(key, value, 0, 0) for key, value in run.metrics.items()],
            [Param(*each) for each in run.params.items()],
            [RunTag(*each) for each in run.tags.items()],
        )
        return Run(info, data, RunInputs([], []))
