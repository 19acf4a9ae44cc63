"""Files and tags that belong to a run beside its folder, such as a frontier that was searched for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from sim.registry import store
from sim.tracking.entries import TAG
from sim.tracking.log import uploading
from sim.tracking.page import cut


def attach(run_id: str, files: Iterable[Path], tags: Mapping[str, str], uri: str) -> None:
    """Add files and tags to a run that is logged; those of the same names are replaced.

    Raises `TrackingError` where the store cannot be reached or does not take them.
    """
    client = store.client(uri, uri)
    with store.reaching(client):
        for file in files:
            with uploading(client):
                client.log_artifact(run_id, str(file))
        for name, text in tags.items():
            client.set_tag(run_id, name, cut(text, TAG))
