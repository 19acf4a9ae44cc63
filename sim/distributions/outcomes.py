"""What a request earns from a behaviour model: one distribution per metric, as written in a models file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Tag

from sim.distributions.amounts import AmountQuantiles, Gamma, LogNormal, Normal, Pareto, ZeroInflated
from sim.distributions.base import single_key
from sim.distributions.counts import NegativeBinomial, Poisson
from sim.distributions.scores import Bernoulli, Beta, Categorical

Outcome = Annotated[
    Annotated[Bernoulli, Tag("bernoulli")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[LogNormal, Tag("lognormal")]
    | Annotated[Gamma, Tag("gamma")]
    | Annotated[ZeroInflated, Tag("zero_inflated")]
    | Annotated[Pareto, Tag("pareto")]
    | Annotated[AmountQuantiles, Tag("quantiles")]
    | Annotated[Poisson, Tag("poisson")]
    | Annotated[NegativeBinomial, Tag("negative_binomial")]
    | Annotated[Categorical, Tag("categorical")]
    | Annotated[Beta, Tag("beta")],
    Discriminator(
        single_key((
            "bernoulli", "normal", "lognormal", "gamma", "zero_inflated", "pareto", "quantiles", "poisson",
            "negative_binomial", "categorical", "beta",
        ))
    ),
]  # fmt: skip
