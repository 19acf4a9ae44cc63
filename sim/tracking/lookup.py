"""Versions that are looked up by the process that logs: it loads MLflow anyway, so a run of behaviour models loads it once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from sim.run.plan import Resolved, Resolver
from sim.scenario.schema import Scenario
from sim.tracking.child import Child

# What a run needs between its plan and its end, in the order in which it does. There is nothing else to do meanwhile.
_MEANWHILE = (
    "sim.run.simulate", "sim.run.glance", "sim.report.progress", "pandas", "pyarrow.parquet", "sim.jit", "sim.run.noting",
    "sim.compare.comparison", "sim.compare.summary", "matplotlib.figure", "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg", "sim.report.beside", "sim.report.markdown", "sim.report.listed", "sim.report.terminal",
)  # fmt: skip


def loaded() -> bool:
    """Whether this process has MLflow already, and another one would only load it once more."""
    return "mlflow" in sys.modules


def through(
    child: Child, otherwise: Callable[[], Resolver], tracking_uri: str | None, registry_uri: str | None
) -> Resolver:  # fmt: skip
    """A resolver of versions in a registry that asks the other process, and `otherwise` where that cannot tell.

    Meanwhile this process loads what a run needs later.
    """
    own: list[Resolver] = []

    def resolved(scenario: Scenario, base: Path) -> Resolved:
        if not own:
            models = [(model.arm, model.uri) for model in scenario.models]
            versions = child.versions(models, tracking_uri, registry_uri, _MEANWHILE)
            if versions is not None:
                return Resolved(tuple(versions))
            own.append(otherwise())
        return own[0](scenario, base)

    return resolved
