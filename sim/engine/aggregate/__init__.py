"""The aggregate engine: a tick's counts and sums drawn at once. Which worlds it refuses, and why."""

from sim.engine.aggregate.ends import mirror_refusals
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.refusals import FILLS, refusals

__all__ = ["FILLS", "AggregateEngine", "mirror_refusals", "refusals"]
