"""The event log of one replication."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import InputError
from sim.given import check_arguments, settling, with_files
from sim.workflow.planning import resolver_through
from sim.workflow.running import REPORTS

if TYPE_CHECKING:
    import pandas as pd

    from sim.registry.memory import Models
    from sim.run.plan import PlannedPoint
    from sim.scenario.put import Change
    from sim.scenario.reading import Source


def trace_scenario(
    path: Source,
    policy: str,
    replication: int,
    *,
    models: Models | None = None,
    engine: str | None = None,
    until_s: float | None = None,
    out: str | Path | None = None,
    reports: str | Path = REPORTS,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
    planned: Callable[[PlannedPoint], None] | None = None,
    requests: bool = False,
) -> pd.DataFrame:
    """The event log of one replication under one policy, as `sim.run.trace.trace` describes; also written to `out` if given.

    With `requests` a row is a request, as `sim.run.requests.request_log` describes.
    `path`, `models`, `parts` and `changes` are as in `plan_scenario`, which says when real versions run their code. The sweep
    of a scenario is ignored.
    """
    from sim.registry.store import default_uri
    from sim.tracking.child import Child, loaded

    check_arguments(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    beside = models is None and not loaded()
    with Child(tracking_uri or default_uri()) as child:
        if beside:
            # It loads MLflow while this process loads what plays.
            child.start()
        from sim.files import writable
        from sim.policy.catalogue import using
        from sim.run.plan import prepare
        from sim.run.requests import request_log
        from sim.run.trace import problems, trace, write
        from sim.scenario.reading import read

        file = None if out is None else Path(out)
        with using(parts):
            scenario, document = read(path, with_files(), changes)
            trace_problems = problems(scenario, policy, replication, engine, file)
            if trace_problems:
                raise InputError(trace_problems)
            if file is not None:
                writable(file, "--out")
            cache = Path(reports) / ".predictions"
            store, meanwhile = (tracking_uri, registry_uri), ("pandas", "sim.engine.compiled")
            resolver = resolver_through(child if beside else None, scenario, document, models, *store, cache, meanwhile)
            (point,) = prepare(scenario.model_copy(update={"sweep": None}), document, resolver, settling(1, cache)).points
    if planned:
        planned(point)
    log = trace(point, policy, replication, engine, until_s, whole=requests)
    if requests:
        log = request_log(log, point.scenario)
    if file is not None:
        write(log, file)
    return log
