"""Users who keep their arm while a canary of two challengers is ramped up, from a file, request by request."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.cli import main

KINDS = Path(__file__).parents[1] / "kinds"
RAMP = KINDS / "sticky-ramp.yaml"
ARMS = ("champion", "better", "worse")


@pytest.fixture(scope="module")
def logs(store: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The event log of a replication by engine."""
    assert main(["models", "register", str(KINDS / "models.yaml"), "--tracking-uri", store]) == 0
    folder, found = tmp_path_factory.mktemp("sticky"), {}
    assert main(["check", str(RAMP)]) == 0
    for engine in ("simpy", "compiled"):
        out = folder / f"{engine}.parquet"
        said = ["trace", str(RAMP), "--policy", "canary", "--replication", "2", "--engine", engine, "--out", str(out)]
        assert main([*said, "--tracking-uri", store, "--reports", str(folder)]) == 0
        found[engine] = pd.read_parquet(out)
    return found


def users(log: pd.DataFrame, start_h: float, end_h: float) -> dict[str, set[int]]:
    """{arm: the users whom it served between two times}."""
    came = log[(log["event"] == "arrive") & (log["time_s"] >= 3600 * start_h) & (log["time_s"] < 3600 * end_h)]
    return {arm: set(came["user"][came["arm"] == arm]) for arm in ARMS}


def test_engines_send_every_user_to_the_same_arm(logs: dict[str, pd.DataFrame]) -> None:
    pd.testing.assert_frame_equal(logs["simpy"], logs["compiled"])


def test_while_the_weights_of_both_rise_nobody_leaves_a_challenger(logs: dict[str, pd.DataFrame]) -> None:
    steps = [users(logs["simpy"], *times) for times in ((0, 1), (1, 2), (2, 2.5))]
    for found, share in zip(steps, (0.1, 0.2, 0.5), strict=True):
        # Every user is seen in a step (7 requests each in the shortest one), and in one arm only.
        everyone = set().union(*found.values())
        assert len(everyone) > 990
        assert sum(map(len, found.values())) == len(everyone)
        for arm in ARMS[1:]:
            assert abs(len(found[arm]) / len(everyone) - share) < 4 * np.sqrt(share * (1 - share) / len(everyone))
    for before, after in pairwise(steps):
        for arm, other in (ARMS[1:], ARMS[:0:-1]):
            assert not before[arm] & (after[other] | after["champion"])
