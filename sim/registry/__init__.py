"""The model versions that a scenario names, and their behaviour."""

__all__ = [
    "about", "annotation", "behaviour", "data", "demo", "measure", "memory", "moves", "profile", "publish", "register",
    "rehearsals", "replay", "rewards", "scores", "scoring", "served", "store", "trust", "versions",
]  # fmt: skip
