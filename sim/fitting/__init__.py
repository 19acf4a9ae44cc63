"""From a team's own logs and past experiments to a scenario: what is fitted, how sure, and what the data cannot tell."""

__all__ = ["calibrating", "columns", "event_columns", "events", "experiment_columns"]
