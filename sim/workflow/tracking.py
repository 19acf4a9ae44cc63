"""A run folder, logged to MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.given import check_arguments
from sim.tracking.limits import TIMEOUT_S

if TYPE_CHECKING:
    from sim.tracking.child import Child
    from sim.tracking.track import Tracked


def track_run(
    folder: str | Path,
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    timeout_s: float = TIMEOUT_S,
    annotate: bool = False,
) -> Tracked:
    """Log a run folder to MLflow, in `timeout_s` seconds at most. Logging the same folder again adds nothing.

    Each of its versions in the registry (by default the tracking server) then names the run on a tag; with `annotate`, the
    version's description says what the rehearsal found, in a section of its own.
    """
    from sim.registry.store import addresses

    check_arguments(timeout_s=timeout_s, tracking_uri=tracking_uri, registry_uri=registry_uri)
    addresses(tracking_uri, registry_uri)
    return log_folder(Path(folder), LogTo(tracking_uri, registry_uri, experiment, timeout_s, annotate))


@dataclass(frozen=True)
class LogTo:
    """Where a run is logged, and how."""

    tracking_uri: str | None
    registry_uri: str | None
    experiment: str | None
    timeout_s: float
    annotate: bool


def log_folder(folder: Path, to: LogTo, child: Child | None = None) -> Tracked:
    from sim.run.folder import holding
    from sim.tracking.track import track

    with holding(folder):
        return track(
            folder, tracking_uri=to.tracking_uri, registry_uri=to.registry_uri, experiment=to.experiment,
            timeout_s=to.timeout_s, annotate=to.annotate, child=child,
        )  # fmt: skip
