"""What is true in a replication: arrivals, outcomes, latencies, effects, and the draws of all of them."""

__all__ = [
    "build",
    "capacity",
    "clock",
    "covariate",
    "draws",
    "failures",
    "fates",
    "jit",
    "latency",
    "outcomes",
    "overload",
    "potential",
    "sampling",
    "streams",
    "tables",
    "trace",
    "traffic",
    "world",
    "worth",
]
