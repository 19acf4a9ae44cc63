"""The story of a few trials: what a policy saw in them as time went by, what it found, and what was true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from sim.errors import InputError
from sim.files import reading
from sim.run.record import problems_of
from sim.run.stored import Stored

FILE = "stories.json"

Which = Literal["worst", "typical", "best"]


class Event(Stored):
    """What happened, and when."""

    at_s: Annotated[FiniteFloat, Field(ge=0)]
    text: str


class ArmStory(Stored):
    """What happened to a challenger at each of T times: its share of traffic, the effect seen of it, and the true one.

    Effects are relative to the champion, positive where it is better. `seen` is over the outcomes known since the stage began,
    with its standard error; None where there is none, or where the policy does not look at the primary metric. `true` is that
    of the tick.
    """

    arm: str
    share: tuple[FiniteFloat, ...]
    seen: tuple[FiniteFloat | None, ...]
    error: tuple[FiniteFloat | None, ...]
    true: tuple[FiniteFloat | None, ...]


class Story(Stored):
    """One trial of a policy, from its start to its verdict, or to the horizon.

    `which`: the worst, the typical or the best of all trials by `measure`, of which it has `value`.
    """

    policy: str
    which: Which
    replication: Annotated[int, Field(ge=0)]
    measure: str
    value: FiniteFloat
    verdict: str
    end_s: Annotated[FiniteFloat, Field(gt=0)]
    effect: FiniteFloat | None
    time_s: tuple[FiniteFloat, ...]
    arms: tuple[ArmStory, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Pick:
    """A trial whose story is to be told, with what it was picked by."""

    which: Which
    replication: int
    measure: str
    value: float


def read_stories(folder: Path) -> tuple[Story, ...]:
    """The stories of a run folder; none of one that has none. Raises `InputError` for a file that holds something else."""
    file = folder / FILE
    if not file.exists():
        return ()
    with reading(file):
        try:
            return TypeAdapter(tuple[Story, ...]).validate_json(file.read_bytes())
        except ValidationError as error:
            raise InputError(problems_of(error, file)) from error
