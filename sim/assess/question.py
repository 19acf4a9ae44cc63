"""What is asked of a rollout: at which traffic, which versions are tried, how often, and what risk is wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.errors import InputError, Problem
from sim.units import format_duration, format_share, parse_duration, parse_effect, parse_rate, parse_share, shown

ERRORS = ("0.1%", "0.2%", "0.5%", "1%", "2%", "5%", "10%", "20%", "50%")
"""By how many percentage points more requests fail of the versions that are tried."""
SLOWER = ("25%", "50%", "100%")
"""By how much longer the answers of the versions take that are tried where a check reads times."""
YEAR_S = 365 * 86_400.0
MOST_REPLICATIONS = 1_000_000


@dataclass(frozen=True, order=True)
class Worse:
    """How a version differs from the champion: `errors` is added to its error rate, and its answers take 1 + `slower` as long.

    >>> [each.label for each in (Worse(), Worse(errors=0.05), Worse(slower=0.5))]
    ['no worse', '+5 points of errors', '50% slower']
    """

    errors: float = 0.0
    slower: float = 0.0

    @property
    def label(self) -> str:
        """The difference, for people."""
        if self.slower:
            return f"{format_share(self.slower)} slower"
        return f"+{100 * self.errors:.6g} points of errors" if self.errors else "no worse"

    @property
    def key(self) -> str:
        """The difference as rules name it, such as 5% or slower-50%."""
        return f"slower-{format_share(self.slower)}" if self.slower else format_share(round(self.errors, 12))


SAME = Worse()


@dataclass(frozen=True)
class Catch:
    """A version that is to be rolled back within some time of the rollout's start."""

    worse: Worse
    within_s: float

    @property
    def label(self) -> str:
        """The wish, for people."""
        return f"{self.worse.label} gone within {format_duration(self.within_s)}"


@dataclass(frozen=True)
class Wanted:
    """The risk that is wanted: at most so many false aborts, and what is caught in at least the share `sure` of releases."""

    false_abort: float | None = None
    catch: tuple[Catch, ...] = ()
    sure: float = 0.95

    def __bool__(self) -> bool:
        return self.false_abort is not None or bool(self.catch)


@dataclass(frozen=True)
class Question:
    """What is asked. `rate_per_s` None is the traffic that a scenario has; `releases` are those of a year.

    `errors` and `slower` are tried, each on its own, beside a version that is no worse.
    """

    rate_per_s: float | None = None
    night_per_s: float | None = None
    errors: tuple[float, ...] = tuple(parse_share(each) for each in ERRORS)
    slower: tuple[float, ...] = tuple(parse_effect(each) for each in SLOWER)
    replications: int = 10_000
    seed: int = 1
    releases: float = 50.0
    wanted: Wanted = field(default_factory=Wanted)

    def worlds(self, champion_errors: float, *, timed: bool) -> tuple[Worse, ...]:
        """The versions that are tried: one that is no worse, then those that are.

        `timed` says that some check reads times: where none does, slower versions are tried only if they are asked for. Raises
        `InputError` for a version that is asked for and would fail in more than all of its requests.
        """
        usual = Question()
        problems = []
        for option, asked in (
            ("--delta", self.errors if self.errors != usual.errors else ()),
            ("--catch", tuple(each.worse.errors for each in self.wanted.catch)),
        ):
            rule = f"more than what {format_share(champion_errors)} leaves of 100%"
            problems += [Problem(f"{rule}; got {format_share(each)}", option) for each in asked if champion_errors + each > 1]
        if problems:
            raise InputError(problems)
        errors = {*self.errors, *(each.worse.errors for each in self.wanted.catch)} - {0.0}
        own = self.slower if timed or self.slower != usual.slower else ()
        slower = {*own, *(each.worse.slower for each in self.wanted.catch)} - {0.0}
        return (
            SAME,
            *(Worse(errors=each) for each in sorted(errors) if champion_errors + each <= 1),
            *(Worse(slower=each) for each in sorted(slower)),
        )


def parse_catch(text: str) -> Catch:
    """A wish such as 5%:10m, that 5 points more errors are rolled back within 10 minutes; or slower-50%:10m.

    Raises `ValueError`.

    >>> parse_catch("5%:10m").label
    '+5 points of errors gone within 10m'
    """
    rule = "must be DELTA:TIME, such as 5%:10m or slower-50%:10m"
    match = re.fullmatch(r"\s*(slower-)?([^:\s]+)\s*:\s*(\S+)\s*", text)
    if match is None:
        raise ValueError(f"{rule}; got {shown(text)}")
    size, within_s = parse_share(match[2]) if not match[1] else parse_effect(match[2]), parse_duration(match[3])
    if size <= 0:
        raise ValueError(f"{rule}: the version must be worse, by more than 0%; got {shown(text)}")
    return Catch(Worse(slower=size) if match[1] else Worse(errors=size), within_s)


def question_of(
    *,
    rate: str | None = None,
    night_rate: str | None = None,
    errors: Sequence[str] = ERRORS,
    slower: Sequence[str] = SLOWER,
    replications: int = 10_000,
    seed: int = 1,
    releases: str = "50/y",
    false_abort: str | None = None,
    catch: Sequence[str] = (),
    sure: str = "95%",
) -> Question:
    """A question as people write it. Raises `InputError` with every option that cannot be read.

    >>> question_of(rate="30/s", false_abort="1%", catch=["5%:10m"]).wanted.false_abort
    0.01
    """
    problems: list[Problem] = []

    def read(option: str, parse: Callable[[str], Any], text: str | None) -> Any:
        try:
            return parse(text) if text is not None else None
        except ValueError as error:
            problems.append(Problem(str(error), option))
            return None

    def each(option: str, parse: Callable[[str], Any], texts: Sequence[str]) -> Iterator[Any]:
        for text in texts:
            value = read(option, parse, text)
            if isinstance(value, float) and value <= 0:
                problems.append(Problem(f"a version that is worse differs by more than 0%; got {shown(text)}", option))
            elif value is not None:
                yield value

    def chance(text: str) -> float:
        share = parse_share(text)
        if not 0 < share < 1:
            raise ValueError(f"must be above 0% and below 100%; got {shown(text)}")
        return share

    rate_per_s, night_per_s = read("--rate", parse_rate, rate), read("--night-rate", parse_rate, night_rate)
    asked = Question(
        rate_per_s, night_per_s, tuple(each("--delta", parse_share, errors)), tuple(each("--slower", parse_effect, slower)),
        replications, seed, (read("--releases", parse_rate, releases) or 0.0) * YEAR_S,
        Wanted(read("--false-abort", chance, false_abort), tuple(each("--catch", parse_catch, catch)),
               read("--sure", chance, sure) or 0.0),
    )  # fmt: skip
    if not 100 <= replications <= MOST_REPLICATIONS:
        problems.append(Problem(f"must be from 100 to {MOST_REPLICATIONS:,}; got {replications:,}", "--replications"))
    if problems:
        raise InputError(problems)
    return asked
