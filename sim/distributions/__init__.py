"""Which distributions a file may write: of latencies and delays, and of what requests earn."""

__all__ = ["base", "drawing", "latency", "outcome", "outcomes"]
