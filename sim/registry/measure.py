"""Measure how long a real version takes to answer, once, and keep the profile on the version's tags."""

from __future__ import annotations

import datetime as dt
import gc
import time
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem
from sim.registry import trust
from sim.registry.data import Data
from sim.registry.profile import Profile
from sim.registry.scoring import failing, load, model_inputs, running
from sim.registry.store import reaching
from sim.registry.versions import resolve

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.pyfunc import PyFuncModel

LEVELS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1)
WARM_UP = 20


def measure(uri: str, client: MlflowClient, *, data: Data, calls: int = 300) -> Profile:
    """Time single-row predictions of a version, and store quantiles and error share on its tags.

    Calls take the rows of `data` in turn, after 20 calls that do not count. Each call is timed in seconds with
    `time.perf_counter`; calls that raise count as errors, not as latency. The 99.9% quantile needs 1,000 calls. **This runs the
    model's code**. Raises `InputError` where nobody vouches for its store (`trust`), for a URI without a version, a behaviour
    model, data that does not match the signature, fewer than 20 calls, or a model that fails on every row.
    """
    import numpy as np

    if calls < 20:
        raise InputError([Problem(f"needs at least 20 calls for its quantiles; got {calls}", path="calls")])
    try:
        (version,) = resolve([(uri, uri)], client, unmeasured=True)
    except InputError as error:
        raise InputError([Problem(problem.message, path="uri") for problem in error.problems]) from error
    if version.kind == "behaviour":
        raise InputError([Problem(f"{uri} is a behaviour model: its latency is stated, not measured", path="uri")])
    trust.check(client, "uri", f"{uri} is a real model")
    inputs = model_inputs(version, data, client)
    model = load(version, client)
    times_s, failure = _timed(model, inputs, calls)
    if not times_s:
        assert failure is not None
        raise InputError([Problem(f"{uri} fails on every row: {failing(model, inputs, failure)}", path="data")])
    levels = tuple(float(level) for level in LEVELS if level != 0.999 or calls >= 1000)
    profile = Profile(
        levels=levels,
        values_s=tuple(float(f"{value:.6g}") for value in np.quantile(times_s, levels)),
        error_rate=(calls - len(times_s)) / calls,
        calls=calls,
        measured=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )
    with reaching(client):
        for key, value in profile.to_tags().items():
            client.set_model_version_tag(version.name, version.version, key, value)
    return profile


def _timed(model: PyFuncModel, inputs: Any, calls: int) -> tuple[list[float], Exception | None]:
    """Seconds of each call that succeeded, and the last failure."""
    times_s: list[float] = []
    failure: Exception | None = None
    # Collect the garbage of loading the model now, so that it delays no timed call.
    gc.collect()
    with running():
        for call in range(WARM_UP + calls):
            # Slice here and drop the row again: pandas caches every column on a used row, and a list of such rows
            # grew the heap until full garbage collections of 0.3 s fell into calls of 2 ms.
            at = call % len(inputs)
            row = inputs[at : at + 1]
            start = time.perf_counter()
            try:
                model.predict(row)
            except Exception as error:
                failure = error
                continue
            elapsed_s = time.perf_counter() - start
            if call >= WARM_UP:
                times_s.append(elapsed_s)
    return times_s, failure
