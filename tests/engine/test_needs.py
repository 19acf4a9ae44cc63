"""What an engine says that it fills, by class or by column, where the world has it; anything else is refused by its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sim.engine import aggregate
from sim.engine.catalogue import ENGINES, choose
from sim.engine.needs import FILLED_BY_CALLS, limits, unfilled
from sim.errors import InputError
from sim.policy.columns import COUNTS, Above, Agreement, Column, Count, Moment, Product, UserMoment
from sim.world.world import World
from tests.columns import mirrored
from tests.policy.scripted import TOLD
from tests.worlds import behaves, make_scenario, make_world


def world(**said: Any) -> World:
    metrics = [{"name": "conversion", "role": "primary"}, {"name": "clicks"}]
    outcomes = {"conversion": {"bernoulli": 0.3}, "clicks": {"bernoulli": 0.5}}
    return make_world(make_scenario(metrics=metrics, **said), [behaves(outcomes=outcomes, agreement=0.9)] * 2)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_fills_every_count_and_the_moments_of_every_metric(name: str) -> None:
    plain = (*COUNTS, Above(0.25), Moment("clicks", "square"), Agreement("sum"))
    assert ENGINES[name].refused(world(), (*plain, *mirrored(*plain))) == []


@pytest.mark.parametrize("name", ["auto", *ENGINES])
@pytest.mark.parametrize("column", [TOLD, TOLD.as_mirrored()], ids=str)
def test_a_column_that_no_engine_fills_is_refused_before_anything_is_played(name: str, column: Column) -> None:
    with pytest.raises(InputError, match=rf"^engine: [a-z]+ cannot play this: telemetry has no column '{column.name}'$"):
        choose(name, world(), (Count("requests"), column))


def test_what_takes_single_requests_is_for_the_engines_that_know_them() -> None:
    needs = (Moment("clicks", "sum"), UserMoment("clicks", "count"), Product("clicks", "conversion"))
    assert list(unfilled(aggregate.FILLS, world(), needs)) == ["adjust: clicks.user.count takes single requests to tell"]
    assert list(unfilled(FILLED_BY_CALLS, world(), needs)) == []


def test_a_count_is_filled_only_by_an_engine_that_names_it() -> None:
    """A class that an engine fills is filled as a whole; counts are told one by one, so that a new one is not left at 0."""
    needs = (Count("errors", mirrored=True), Count("retries"))
    assert list(unfilled((Count("errors"), Above), world(), needs)) == ["telemetry has no column 'retries'"]


def test_what_a_world_lacks_is_said() -> None:
    silent = replace(world(), agreement=None)
    needs = (Agreement("count", mirrored=True), Moment("revenue", "sum"))
    assert list(unfilled(FILLED_BY_CALLS, silent, needs)) == [
        "telemetry has no column 'revenue.sum': there is no metric 'revenue'",
        "telemetry has no column 'mirror.agreement.count': not every model says how often it agrees",
    ]


def test_limits_are_those_of_columns_and_of_the_objective_in_order() -> None:
    needs = (Above(2.0), Count("errors"), Above(0.5), Above(2.0, mirrored=True))
    assert limits(needs, None) == (0.5, 2.0)
    assert limits(needs, 1.0) == (0.5, 1.0, 2.0)
