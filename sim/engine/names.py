"""The names of the engines, for who plays nothing: what they are stands in the catalogue, and takes long to load."""

from __future__ import annotations

ENGINES = ("aggregate", "compiled", "simpy")
"""The cheapest first."""
OF_CALLS = ("compiled", "simpy")
"""Those that record single calls."""
