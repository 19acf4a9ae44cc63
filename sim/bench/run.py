"""The command `sim bench`: measure, and write the figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sim.bench.compiling import compiling
from sim.bench.contenders import contenders
from sim.bench.measure import measure
from sim.bench.result import Bench, environment
from sim.bench.rollouts import rollouts
from sim.bench.scale import QUICK_SIZES, SIZES, scale
from sim.engine.catalogue import no_compiler
from sim.files import write_json

ROUNDS, QUICK_ROUNDS = 5, 3
REQUESTS, QUICK_REQUESTS = 10_000_000, 1_000_000
Say = Callable[[str], None]


def bench(
    *, quick: bool = False, rounds: int | None = None, requests: int | None = None, say: Say = lambda text: None
) -> Bench:
    """Measure all contenders. The compiled engine plays `requests` requests per round. `say` gets progress messages."""
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    playing, missing = contenders(requests or (QUICK_REQUESTS if quick else REQUESTS))
    rows, failed = measure(playing, rounds, say)
    say("whole rollouts")
    rolling, absent = rollouts(quick)
    trials, stopped = measure(rolling, rounds, say)
    compiles = no_compiler() is None
    if compiles:
        say("the first call in a fresh process")
    first = compiling() if compiles else None
    sizes = scale(QUICK_SIZES if quick else SIZES, rounds, say) if compiles else []
    return Bench(environment(), rounds, rows, [*missing, *failed, *absent, *stopped], first, sizes, trials)


def keep(result: Bench, file: Path) -> None:
    """Write the figures as JSON."""
    write_json(file, result.to_dict())
