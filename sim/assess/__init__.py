"""What risk a rollout takes at its traffic: false aborts, time to catch what is worse, and the least change that mends it."""

__all__ = ["assessing", "pages", "question", "rollout"]
