"""How much statistical and generated tests play: less in every run of the tests, all of it in `scripts/verify`."""

from __future__ import annotations

import os

THOROUGH = "SIM_THOROUGH" in os.environ


def plays(usual: int, thorough: int) -> int:
    """How many replications, examples or seeds a test plays.

    `usual` still finds the faults that people make, of a size that the test states; `thorough` finds smaller and rarer ones.
    """
    return thorough if THOROUGH else usual
