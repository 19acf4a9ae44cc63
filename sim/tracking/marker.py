"""`tracking.json`: where a run folder was last logged, or should have been. Logging works without it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sim.errors import FileError
from sim.files import write_json

FILE = "tracking.json"


class Marker(BaseModel):
    """What the file holds. `key` is the run's; `tracking_uri` without a password; `logged_at` ISO 8601, once `complete`.

    `unfinished` are the keys of earlier results of the folder that were not logged whole, and that nobody will complete.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    tracking_uri: str
    experiment_id: str | None = None
    run_id: str | None = None
    logged_at: str | None = None
    complete: bool = False
    unfinished: tuple[str, ...] = ()


def read_marker(folder: Path) -> Marker | None:
    """The folder's marker; None where there is none that can be read."""
    try:
        return Marker.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def write_marker(folder: Path, marker: Marker) -> None:
    """Write the marker. Does nothing if the folder is not writable: logging works without the marker.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_marker(Path(folder), Marker(key="ab", tracking_uri="http://mlflow.example.org"))
    ...     read_marker(Path(folder)).complete
    False
    """
    with contextlib.suppress(FileError):
        write_json(folder / FILE, marker.model_dump())
