"""Which number a rule must have for an error to be what is asked for: found by simulation before a run."""

__all__ = ["calibrate"]
