"""What other programs may call: names, parameters and defaults that must stay, as docs/methods.md lists them."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import get_args

import pytest

from sim.stats import group_sequential

SURFACE = [
    "group_sequential.design(kind, looks, alpha=0.05, power=None, sides=2, information=None, *, shape=None, interim=None, "
    "spending=None, rho=None, gamma=None, futility=None, futility_rho=None, futility_gamma=None, binding=False)",
    "peeking.false_positive_rate(looks, alpha=0.05, sides=2)",
    "sequential.mixture_sprt(estimate, standard_error, *, mixing_sd, null=0.0, alternative='two-sided')",
    "sequential.confidence_sequence(estimate, standard_error, *, mixing_sd, alpha=0.05, alternative='two-sided')",
    "power.sample_size(kind, *, effect=0.0, baseline=None, sd=None, alpha=0.05, power=0.8, sides=None, ratio=1.0, "
    "comparisons=1, correction='bonferroni', scale='absolute', hypothesis='superiority', margin=None, direction='increase')",
    "cuped.adjust(y, x)",
    "srm.test(counts, shares=None)",
    "risk.cvar(values, level=0.95, confidence=0.95)",
    "survival.cumulative_incidence(times, causes, horizon, grid=None, *, censored='undecided', expected=(), confidence=0.95)",
    "survival.restricted_mean(times, horizon, *, observed=None, confidence=0.95)",
]
METHODS = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("promised", SURFACE)
def test_the_public_functions_keep_their_parameters_and_are_listed(promised: str) -> None:
    module, name = promised.partition("(")[0].split(".")
    signature = inspect.signature(getattr(importlib.import_module(f"sim.stats.{module}"), name))
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    assert f"{module}.{name}{inspect.Signature(bare)}" == promised
    assert f"`{promised}`" in METHODS


def test_a_design_keeps_its_kinds_and_what_it_tells() -> None:
    kinds = ("pocock", "obrien_fleming", "wang_tsiatis", "haybittle_peto", "spending")
    assert get_args(group_sequential.Kind) == kinds
    more = {"wang_tsiatis": {"shape": 0.25}, "spending": {"spending": "pocock"}}
    for kind in kinds:
        found = group_sequential.design(kind, 3, power=0.8, **more.get(kind, {}))  # type: ignore[arg-type]
        assert found.bounds.shape == found.nominal_p.shape == (3,)
        # It may take more than the fixed test, and takes less where there is a large effect.
        assert found.maximum_information > 1
        assert found.expected_information(multiple=2.0) < 1
