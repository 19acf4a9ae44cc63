"""Whether a scenario comes true: its policy in real time, on real servers of this machine, held against what is simulated."""

__all__ = ["check", "told"]
