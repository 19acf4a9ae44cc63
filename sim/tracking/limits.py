"""How long logging may take, in seconds."""

from __future__ import annotations

TIMEOUT_S = 30.0
"""What one command has by default."""
LONGEST_S = 86400.0
"""The most that can be asked for."""
