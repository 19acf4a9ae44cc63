"""The work itself: plans, blocks, workers, checkpoints, the run folder."""

__all__ = [
    "about", "blocks", "checkpoints", "cost", "crew", "crews", "effort", "execute", "folder", "found", "frames", "glance",
    "held", "machine", "noting", "pace", "plan", "record", "rehearse", "requests", "simulate", "staying", "story", "timeline",
    "trace",
    "trial", "unplayed", "varying", "workers",
]  # fmt: skip
