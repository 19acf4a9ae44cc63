"""What the process that logs does before there is anything to log: it looks versions up, and draws.

It loads MLflow anyway, so a run of behaviour models loads it once. While the report is written it would have nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.report.beside import LONGEST_S, Draws
from sim.run.machine import processors
from sim.run.plan import Resolved, Resolver
from sim.scenario.schema import Scenario
from sim.tracking.child import Child

TO_PLAY = (
    "sim.run.simulate", "sim.run.glance", "sim.report.progress", "pandas", "pyarrow.parquet", "sim.jit", "sim.run.noting",
    "sim.compare.comparison", "sim.compare.summary", "matplotlib.figure", "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg", "sim.report.beside", "sim.report.markdown", "sim.report.listed", "sim.report.terminal",
)  # fmt: skip
"""The modules that a run needs between its plan and its end, in the order in which it does."""


def through(
    child: Child, otherwise: Callable[[], Resolver], tracking_uri: str | None, registry_uri: str | None,
    meanwhile: Sequence[str] = (),
) -> Resolver:  # fmt: skip
    """A resolver of versions in a registry that asks the other process, and `otherwise` where that cannot tell.

    Where there are two processors, this process loads the modules `meanwhile` while it waits.
    """
    if processors() == 1:
        meanwhile = ()
    own: list[Resolver] = []

    def resolved(scenario: Scenario, base: Path) -> Resolved:
        if not own:
            models = [(model.arm, model.uri) for model in scenario.models]
            versions = child.versions(models, tracking_uri, registry_uri, meanwhile)
            if versions is not None:
                return Resolved(tuple(versions))
            own.append(otherwise())
        return own[0](scenario, base)

    return resolved


@dataclass(frozen=True)
class Drawing(Draws):
    """That process, which draws the run in `folder`, with its summary in `into`."""

    child: Child
    folder: Path
    into: Path

    def begin(self) -> None:
        self.child.draw(self.folder, self.into)

    def wait(self) -> tuple[Sequence[str], bytes] | None:
        return self.child.drawn(LONGEST_S)
