"""How large a test should be where what it decides lasts for a known number of requests (Feit & Berman 2019)."""

from __future__ import annotations

import math


def best_sample(horizon: float, response_sd: float, prior_sd: float) -> float:
    """Requests of each of two arms in the test that earns most, of `horizon` requests in all; the better arm serves the rest.

    `response_sd` is the standard deviation of the outcome of one request. `prior_sd` is that of what an arm earns on average,
    before anything is known; it is the same for both arms. There is no error rate: whatever looks better is taken.

    Source: Feit & Berman, Test & Roll: Profit-Maximizing A/B Tests, Marketing Science 38 (2019), proposition 1.

    >>> round(best_sample(100_000, math.sqrt(0.68 * 0.32), 0.03))
    2284
    """
    ratio = (response_sd / prior_sd) ** 2
    return math.sqrt(horizon * ratio / 4 + (0.75 * ratio) ** 2) - 0.75 * ratio


def gain(sample: float, horizon: float, response_sd: float, prior_sd: float) -> float:
    """What a test with `sample` requests of each arm earns more than the use of one arm for all, in expectation.

    >>> round(gain(2284, 100_000, math.sqrt(0.68 * 0.32), 0.03))
    1536
    """
    known = prior_sd**2 / math.sqrt(math.pi * (prior_sd**2 + response_sd**2 / sample))
    return (horizon - 2 * sample) * known
