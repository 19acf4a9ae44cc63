"""Contracts that parts of policies must keep, as test classes: inherit one and supply the fixture `part`.

`AllocationContract`, `EvidenceContract` and `GuardrailContract` test the parts that ship and parts from outside
in the same way. They need pytest, which the extra `testing` installs. docs/extending.md has an example.
"""
# ruff: noqa: E402 (pytest is told to rewrite assertions before what holds them is imported)

from __future__ import annotations

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('sim.testing needs pytest: pip install "rollout-sim[testing]"') from error

# Where an assertion of a contract fails, its values are shown.
pytest.register_assert_rewrite("sim.testing.contract", "sim.testing.guardrail_contract")

from sim.testing.contract import AllocationContract, EvidenceContract
from sim.testing.guardrail_contract import GuardrailContract
from sim.testing.paths import binary_ticks, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import look_at, make_setting

__all__ = [
    "AllocationContract",
    "EvidenceContract",
    "GuardrailContract",
    "binary_ticks",
    "first_findings",
    "gaussian_ticks",
    "look_at",
    "make_setting",
    "standard_error",
]
