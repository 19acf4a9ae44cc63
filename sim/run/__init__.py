"""The work itself: plans, blocks, workers, checkpoints, the run folder."""

__all__ = ["blocks", "folder", "lock", "plan", "record", "rehearse", "simulate", "trace", "trial", "unplayed"]
