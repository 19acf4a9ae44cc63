"""The aggregate engine, which draws the counts and sums of a tick at once, and the worlds that it refuses."""

from sim.engine.aggregate.ends import mirror_refusals
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.late import aged
from sim.engine.aggregate.refusals import FILLS, arrivals_refusals, declared_doubts, declared_refusals, refusals, visit_refusals

__all__ = [
    "FILLS", "AggregateEngine", "aged", "arrivals_refusals", "declared_doubts", "declared_refusals", "mirror_refusals",
    "refusals", "visit_refusals",
]  # fmt: skip
