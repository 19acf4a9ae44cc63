"""What is true in a replication: arrivals, outcomes, latencies, effects, and the draws of all of them."""

__all__ = [
    "alike",
    "build",
    "capacity",
    "clock",
    "covariate",
    "draws",
    "fates",
    "feedback",
    "jit",
    "latency",
    "left_open",
    "outcomes",
    "overload",
    "potential",
    "sampling",
    "streams",
    "tables",
    "trace",
    "traffic",
    "world",
]
