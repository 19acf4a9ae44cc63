"""What a policy would have earned on the traffic of a log: by weights, by a model of rewards, and by replay."""

__all__ = ["evaluating", "log", "pages", "policies"]
