"""The work itself: plans, blocks, workers, checkpoints, the run folder."""

__all__ = [
    "blocks", "checkpoints", "effort", "folder", "glance", "held", "pace", "plan", "record", "rehearse", "simulate", "timeline",
    "trace", "trial", "unplayed",
]  # fmt: skip
