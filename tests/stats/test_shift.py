"""The shift of two samples by ranks: known results of R, the test that it inverts, and how often its interval covers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from sim.errors import InputError
from sim.stats.shift import shift, wilcoxon_quantile

# Hollander & Wolfe (1973), 69f: permeability of the human chorioamnion at term, and at 12 to 26 weeks.
TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLIER = [1.15, 0.88, 0.90, 0.74, 1.21]


def by_root(x: np.ndarray, y: np.ndarray, level: float) -> list[float]:
    """The ends of the normal limit as R finds them: by search for the root of the corrected statistic."""
    n, m = len(x), len(y)

    def gap(moved: float, quantile: float) -> float:
        ranks = stats.rankdata(np.r_[x - moved, y])
        ties = np.unique(np.r_[x - moved, y], return_counts=True)[1]
        spread = np.sqrt(n * m / 12 * ((n + m + 1) - (ties**3 - ties).sum() / ((n + m) * (n + m - 1))))
        away = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2 - np.sign(quantile) * 0.5
        return float(away / spread - quantile if spread else -quantile)

    low, high, quantile = x.min() - y.max(), x.max() - y.min(), stats.norm.ppf((1 + level) / 2)
    ends = []
    for each in (quantile, -quantile):
        if gap(low, each) <= 0:
            ends.append(low)
        elif gap(high, each) >= 0:
            ends.append(high)
        else:
            ends.append(optimize.brentq(gap, low, high, args=(each,), xtol=1e-10))
    return [float(end) for end in ends]


def test_the_example_of_the_textbook() -> None:
    """R 4: wilcox.test(x, y, conf.int = TRUE) has 0.305 and (-0.15, 0.76)."""
    found = shift(TERM, EARLIER, 0.95)
    assert_allclose([found.estimate, found.lower, found.upper], [0.305, -0.15, 0.76])


@pytest.mark.parametrize("ties", [False, True])
def test_the_normal_limit_is_where_its_statistic_turns(ties: bool) -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        n, m = rng.integers(3, 25, 2)
        x, y = (rng.integers(0, 6, n) * 1.0, rng.integers(0, 5, m) * 1.0) if ties else (rng.normal(size=n), rng.normal(size=m))
        found = shift(x, y, 0.98, "normal")
        assert_allclose([found.lower, found.upper], by_root(x, y, 0.98), atol=1e-8)
        assert_allclose(found.estimate, np.median(x[:, None] - y))


def test_the_exact_interval_holds_what_the_exact_test_does_not_reject() -> None:
    rng = np.random.default_rng(4)
    for _ in range(40):
        n, m = rng.integers(4, 12, 2)
        x, y = rng.normal(0.5, 1, n), rng.normal(size=m)
        found = shift(x, y, 0.9)
        for end, inwards in ((found.lower, 1e-9), (found.upper, -1e-9)):
            inside, outside = (stats.mannwhitneyu(x - (end + by), y, method="exact").pvalue for by in (inwards, -inwards))
            assert inside > 0.1 - 1e-12
            assert outside <= 0.1 + 1e-12 or end in (x.min() - y.max(), x.max() - y.min())


@pytest.mark.parametrize("method", ["exact", "normal"])
def test_it_covers_as_often_as_it_says(method: str) -> None:
    rng = np.random.default_rng(5)
    rows = 4000
    found = shift(rng.normal(0.7, 1, (rows, 12)), rng.normal(0, 1, (rows, 15)), 0.95, method)  # type: ignore[arg-type]
    covered = ((found.lower <= 0.7) & (found.upper >= 0.7)).mean()
    # Both are conservative: steps of the exact distribution, and the correction.
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / rows) < covered < 0.97


def test_missing_values_and_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(3, 4, 9)), rng.normal(size=(3, 4, 7))
    x[0, 1, 3:], y[2, 2, ::2], x[1, 1] = np.nan, np.nan, np.nan
    at_once = shift(x, y, 0.9)
    monkeypatch.setattr("sim.stats.shift._DIFFERENCES_AT_ONCE", 100)
    for name in ("estimate", "lower", "upper"):
        assert_allclose(getattr(shift(x, y, 0.9), name), getattr(at_once, name))
        for place in np.ndindex(3, 4):
            own = [values[place][~np.isnan(values[place])] for values in (x, y)]
            alone = getattr(shift(*own, 0.9), name)
            assert_allclose(getattr(at_once, name)[place], alone)
    assert np.isnan(at_once.lower[1, 1])


def test_the_quantile_is_that_of_the_distribution() -> None:
    assert [wilcoxon_quantile(0.025, n, m) for n, m in ((5, 5), (10, 10), (4, 6), (20, 20))] == [3, 24, 3, 128]
    assert wilcoxon_quantile(0.01, 49, 49) < 49 * 49 / 2 - 2.3 * np.sqrt(49 * 49 * 99 / 12)


def test_what_makes_no_sense_is_refused() -> None:
    for arguments, words in ((([1.0], [1.0], 1.5), "confidence"), (([np.inf], [1.0], 0.9), "x"), ((1.0, [1.0], 0.9), "x")):
        with pytest.raises(InputError, match=words):
            shift(*arguments)
    with pytest.raises(InputError, match="method"):
        shift([1.0], [1.0], 0.9, "asymptotic")  # type: ignore[arg-type]
