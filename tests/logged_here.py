"""Runs are logged by the process of the tests, where the one that `sim` starts for it is not what is tested: it loads for three
seconds, each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sim.tracking import child


class Here(child.Child):
    """What asks the process for its work, and hears what it answers: with the work done by the question."""

    def start(self) -> None:
        if not self._started:
            self._started = True
            self._events.put({"ready": True})

    def _write(self, value: Any) -> None:
        def tell(what: str, value: Any) -> None:
            self._events.put(json.loads(json.dumps({what: value})))

        child.answer(self._uri, json.loads(json.dumps(value)), tell)


@pytest.fixture(autouse=True, scope="module")
def logged_here() -> Iterator[None]:
    """For the modules, or the folder's conftest, that import this."""
    with pytest.MonkeyPatch.context() as patch:
        for place in ("sim.tracking.child.Child", "sim.tracking.track.Child"):
            patch.setattr(place, Here)
        yield
