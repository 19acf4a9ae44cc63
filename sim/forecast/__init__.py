"""How a rollout that is under way will end: the posterior of the truth by what was seen, and rehearsals that start from it."""

__all__ = ["forecasting", "pages", "tallies"]
