"""Searches end with runs, whose reports are left undrawn."""

from __future__ import annotations

from tests.undrawn import undrawn as undrawn
