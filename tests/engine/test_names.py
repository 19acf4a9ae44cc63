"""What may be named without loading the engines is what there is."""

from __future__ import annotations

from sim.engine import names
from sim.engine.catalogue import ENGINES, TRACERS


def test_the_names_are_those_of_the_catalogue() -> None:
    assert tuple(ENGINES) == names.ENGINES
    assert TRACERS == names.OF_CALLS
