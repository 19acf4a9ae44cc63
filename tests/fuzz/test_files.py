"""Damaged files, many ways: a result or a message, and nothing written where the input is refused.

`FUZZ_TRIES` sets how many of each (`scripts/fuzz` sets it high), `FUZZ_SEED` which.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz.files import TARGETS, campaign

TRIES, SEED = int(os.environ.get("FUZZ_TRIES", "40")), int(os.environ.get("FUZZ_SEED", "0"))


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_files_end_in_a_message(target: str, tmp_path: Path) -> None:
    # To fit a log takes a second, and to draw a report half of one.
    tries = TRIES // {"logs": 4, "results": 2}.get(target, 1)
    failed = campaign(target, tries, SEED, tmp_path)
    assert not failed, (
        f"{len(failed)} of {tries} with seed {SEED}; the first, try {failed[0][0]} on {failed[0][1]}:\n{failed[0][2]}"
    )
