"""How long logging may take, in seconds, and how much of a sweep is logged run by run."""

from __future__ import annotations

TIMEOUT_S = 30.0
"""What one command has by default."""
LONGEST_S = 86400.0
"""The most that can be asked for."""
MOST_NESTED = 100
"""Points of a sweep that are runs of their own: each takes some twenty requests, and a page of more shows nothing."""


def in_table(points: int) -> str:
    """What is said of a sweep of so many points, where they are no runs of their own; empty where they are.

    >>> in_table(100), in_table(2000)
    ('', '2,000 points are in measures.csv and in curves, and no runs of their own, as there are more than 100')
    """
    if points <= MOST_NESTED:
        return ""
    return (
        f"{points:,} points are in measures.csv and in curves, and no runs of their own, as there are more than {MOST_NESTED}"
    )
