"""Measure a version behind a server, and keep what was found on its tags."""

from __future__ import annotations

import datetime as dt
import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import InputError, Problem, SimError, visible
from sim.registry import trust
from sim.registry.data import Data
from sim.registry.measure import LEVELS
from sim.registry.profile import Profile
from sim.registry.served import Served
from sim.registry.store import reaching
from sim.registry.versions import Version, artifacts, resolve
from sim.serving.calls import Answer, Endpoint, at_once, call, one_by_one, open_loop, probe
from sim.serving.rows import bodies
from sim.serving.server import Server
from sim.stats.service import Load, Service, fit_service

if TYPE_CHECKING:
    from mlflow import MlflowClient

REQUESTS = 1500
LEAST, MOST = 300, 100_000
FITTED = (0.3, 0.55, 0.8, 0.95)
HELD_OUT = 0.7
"""Rates, as shares of what the server answers when it always has more to do."""
_WARM_UP = 20
_BUSIEST = 64
_BLOCKS = 30
"""A block of calls one after another is this part of all."""
_FEWEST = 10
"""Calls at each rate; fewer show nothing of a queue."""
# What servers say that have too much to do: the calls are not served, so nothing is learnt of service.
_TURNED_AWAY = (0, 429, 502, 503, 504)

Note = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """What was sent and answered: responses alone, in blocks, then each rate, and the calls in all."""

    alone: tuple[np.ndarray, ...]
    loads: tuple[Load, ...]
    held_out: Load
    full_per_s: float
    calls: int
    failures: int


def measure_served(
    uri: str, client: MlflowClient, *, data: Data, requests: int = REQUESTS, endpoint: Endpoint | None = None, workers: int = 1,
    port: int | None = None, note: Note = lambda said: None,
) -> tuple[Profile, Served]:  # fmt: skip
    """Measure a version behind MLflow's REST server, which is started on loopback and ended, or behind an `endpoint`.

    `requests`, 300 to 100,000, are the calls in all: single rows of `data`, in turn. Calls one after another give the
    service; calls at Poisson times at four rates, up to 95% of what the server answers at most, give the concurrency
    (`fit_service`); a fifth rate checks it. The profile of the responses alone, error share and the fit go to the version's
    tags. **A server that is started runs the model's code.** Raises `InputError` for what cannot be measured, and `SimError`,
    with nothing kept, where the fit does not predict the fifth rate within its error.
    """
    if not LEAST <= requests <= MOST:
        raise InputError([Problem(f"must be from {LEAST} to {MOST:,}; got {requests}", path="--requests")])
    try:
        (version,) = resolve([(uri, uri)], client, unmeasured=True)
    except InputError as error:
        raise InputError([Problem(problem.message, path="uri") for problem in error.problems]) from error
    if version.kind == "behaviour":
        raise InputError([Problem(f"{uri} is a behaviour model: its latency and servers are stated, not measured", path="uri")])
    rows = bodies(version, data, client)
    if endpoint is not None:
        found, of = drive(endpoint, rows, requests, note), str(endpoint)
    else:
        trust.check(client, "uri", f"{uri} is a real model")
        with reaching(client):
            model = artifacts(version, client)
        note("starting MLflow's server")
        with Server(model, workers=workers, port=port) as started:
            found, of = drive(started, rows, requests, note), "mlflow models serve"
    note("fitting service time and concurrency")
    service = fit_service(found.alone, found.loads, found.held_out, found.full_per_s)
    if not service.holds:
        raise SimError(_no_fit(service))
    profile, served = _kept(found, service, of, None if endpoint else workers, data)
    _keep(version, client, {**served.to_tags(), **profile.to_tags()})
    return profile, served


def drive(endpoint: Endpoint, rows: Sequence[bytes], requests: int, note: Note) -> Found:
    """Send the calls of one measurement. Raises `InputError` where answers are no predictions."""
    probe(endpoint, rows[0])
    failed: list[Answer] = []

    def send(at: int) -> Answer:
        answer = call(endpoint, rows[at % len(rows)])
        if answer.failed:
            failed.append(answer)
        return answer

    one_by_one(send, _WARM_UP)
    failed.clear()
    block = max(10, requests // _BLOCKS)
    alone = [_took(one_by_one(send, block))]
    full_per_s, sent = _fullest(send, block, requests // 6)
    _turned_away(failed, "when it always had more to do")
    used = 1 + _WARM_UP + sent + block * (len(FITTED) + 2)
    count = (requests - used) // (len(FITTED) + 1)
    if count < _FEWEST:
        # Of more calls, a part goes into longer blocks.
        rest = 1 - (len(FITTED) + 2) / _BLOCKS
        needed = math.ceil((1 + _WARM_UP + sent + _FEWEST * (len(FITTED) + 1)) / rest)
        rule = f"must be at least {needed} here: finding how many calls it serves at once took {sent} of them"
        raise InputError([Problem(f"{rule}; got {requests}", path="--requests")])
    lasts_s = sum(count / (share * full_per_s) for share in (*FITTED, HELD_OUT))
    note(f"it answers up to {full_per_s:.3g} calls/s; {len(FITTED) + 1} rates of {count} calls take about {lasts_s:.0f} s")
    draws = np.random.default_rng(0)
    loads = {}
    for share in (0.3, 0.8, HELD_OUT, 0.55, 0.95):
        planned = np.cumsum(draws.exponential(1 / (share * full_per_s), count))
        calls = open_loop(send, planned.tolist())
        loads[share] = Load(calls.at_s, calls.took_s)
        _turned_away(failed, f"at {loads[share].rate_per_s:.3g} calls/s")
        note(f"{loads[share].rate_per_s:.3g} calls/s: mean response {1000 * loads[share].mean_s:.3g} ms")
        alone.append(_took(one_by_one(send, block)))
    _turned_away(failed, "one call after another")
    fitted = tuple(loads[share] for share in FITTED)
    return Found(tuple(alone), fitted, loads[HELD_OUT], full_per_s, used + 5 * count, len(failed))


def _fullest(send: Callable[[int], Answer], block: int, most: int) -> tuple[float, int]:
    """The most calls per second, with ever more clients until that brings no more, and how many calls it took."""
    best, since, sent, clients = 0.0, 0, 0, 1
    while since < 2:
        if clients > _BUSIEST:
            rule = f"serves more calls at once than {_BUSIEST} clients can send; concurrency is not told apart above that"
            raise InputError([Problem(f"{rule}, got {best:.3g} calls/s", path="--endpoint")])
        calls = max(3 * clients, min(block, most // 6))
        rate, _ = at_once(send, clients, calls)
        since = 0 if rate > 1.1 * best else since + 1
        best, sent, clients = max(best, rate), sent + calls, 2 * clients
    return best, sent


def _took(answers: Sequence[Answer]) -> np.ndarray:
    return np.array([answer.took_s for answer in answers])


def _turned_away(failed: Sequence[Answer], when: str) -> None:
    away = [answer for answer in failed if answer.status in _TURNED_AWAY]
    if away:
        said = visible(f"{away[0].status or 'no answer'} ({away[0].said.strip()[:200] or 'nothing said'})")
        rule = "must answer every call, or its service cannot be told from its queue"
        raise InputError([Problem(f"{rule}; {when}, {len(away)} calls got {said}", path="--endpoint")])


def _kept(found: Found, service: Service, of: str, workers: int | None, data: Data) -> tuple[Profile, Served]:
    took = np.concatenate(found.alone)
    levels = tuple(float(level) for level in LEVELS if level != 0.999 or took.size >= 1000)
    held = np.maximum(took - service.beside_s, 1e-6)
    measured = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    profile = Profile(levels, _short(np.quantile(took, levels)), found.failures / found.calls, int(took.size), measured)
    check = service.held_out
    served = Served(
        service.concurrency, service.least, service.most, levels, _short(np.quantile(held, levels)),
        _three(service.held_s, service.lower_s, service.upper_s), _digits(service.beside_s),
        tuple((_digits(load.rate_per_s), _digits(load.mean_s)) for load in found.loads),
        (*_three(check.rate_per_s, check.measured_s, check.predicted_s), _digits(check.lower_s), _digits(check.upper_s)),
        of, workers, found.calls, measured, f"{data.name} {data.digest[:16]}", _machine(),
    )  # fmt: skip
    return profile, served


def _three(first: float, second: float, third: float) -> tuple[float, float, float]:
    return _digits(first), _digits(second), _digits(third)


def _short(values: np.ndarray) -> tuple[float, ...]:
    return tuple(_digits(value) for value in values)


def _digits(value: float) -> float:
    """With six digits, as a profile has."""
    return float(f"{value:.6g}")


def _machine() -> dict[str, str | int | float]:
    """What the calls were sent from, and a server that was started ran on."""
    import mlflow

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    return {
        "cpus": os.cpu_count() or 0, "arch": platform.machine(), "system": platform.system(),
        "python": platform.python_version(), "mlflow": mlflow.__version__, "load": round(load, 2),
    }  # fmt: skip


def _keep(version: Version, client: MlflowClient, tags: dict[str, str]) -> None:
    with reaching(client):
        for key, value in tags.items():
            client.set_model_version_tag(version.name, version.version, key, value)


def _no_fit(service: Service) -> str:
    check = service.held_out
    bounds = f"{1000 * check.lower_s:.3g} to {1000 * check.upper_s:.3g} ms"
    told = (
        f"at {check.rate_per_s:.3g} calls/s it predicts {bounds}, and {1000 * check.measured_s:.3g} ms was measured"
        if not check.holds
        else f"the rates do not fit together (p = {service.p_value:.2g})"
    )
    best = f"{service.concurrency} at once, {1000 * service.held_s:.3g} ms each"
    return (
        f"service and queueing cannot be told apart: the best fit ({best}) does not hold, as {told}; nothing is kept. Measure "
        "again on a quieter machine or with more --requests; a server that shares its time between calls may never fit"
    )
