"""What is added up in every tick is the same to the bit, whether passes over arrays add it or a compiled kernel."""

from __future__ import annotations

import numpy as np
import pytest

from sim import ways
from sim.jit import missing
from sim.policy.base import Finding, View
from sim.policy.columns import Moment
from sim.policy.contrast import Contrasts
from sim.policy.estimates import Aipw
from sim.policy.evidence.posterior import Posterior
from sim.policy.setting import Metric, Setting

if missing:  # pragma: no cover
    pytest.skip(f"nothing compiles: {missing}", allow_module_level=True)

R, K = 50, 3


@pytest.mark.parametrize("part", [False, True], ids=["all", "some"])
def test_sums_are_the_same(part: bool) -> None:
    found = {}
    for way in ("numpy", "compiled"):
        rng = np.random.default_rng(5)
        contrasts = Contrasts.empty(R, K, [Moment("m", "count"), Moment("m", "sum")])
        scores, total = Aipw(R, K - 1), np.zeros((R, K, 4), np.int64)
        with ways.only(way):  # type: ignore[arg-type]
            for _ in range(6):
                rows = np.flatnonzero(rng.random(R) < 0.6) if part else np.arange(R)
                last = rng.integers(0, 50, (rows.size, K, 4))
                # An arm that is out, and one that alone is left.
                live = rng.dirichlet(np.ones(K), rows.size)
                live[0], live[1] = (0.5, 0.5, 0.0), (0.0, 0.0, 1.0)
                contrasts.add(rows, last, live, np.array([3, 1]))
                scores.add(rows, last, total, np.array([3, 1, 2]), live, expected=0.3, grid=0.01)
                total[rows] += last
        found[way] = contrasts.sums, scores.sums
    for one, other in zip(*found.values(), strict=True):
        assert np.isfinite(one).all()
        assert (one != 0).any()
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("arms", [2, 3])
def test_findings_of_a_posterior_are_the_same(arms: int) -> None:
    metric = Metric("m", 1, True, 1.0, 0.5, 0.5)
    setting = Setting(tuple("abc"[:arms]), 400, 10, 600.0, "m", {"m": metric})
    rng = np.random.default_rng(4)
    count = rng.integers(60, 400, (400, arms))
    total = np.stack([count, rng.binomial(count, 0.5)], axis=2)
    arms_in = rng.random((400, arms)) < 0.8
    arms_in[:, 0] = True
    columns = {Moment("m", "count"): 0, Moment("m", "sum"): 1}
    found = {}
    for way in ("numpy", "compiled"):
        with ways.only(way):  # type: ignore[arg-type]
            view = View(setting, 5, np.full(400, 5), arms_in, total, total, columns, mirrored=False)
            found[way] = Posterior(threshold=0.9).judge(view)
    assert set(np.unique(found["numpy"])) == {*Finding} - {Finding.INCONCLUSIVE} if arms > 2 else True
    np.testing.assert_array_equal(found["numpy"], found["compiled"])
    assert found["numpy"].dtype == found["compiled"].dtype
