"""Names that anyone may have chosen become names that MLflow takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from sim.tracking.names import safe_names

NAMES = st.lists(st.text(max_size=200) | st.text("./-_ aA", max_size=6), unique=True, max_size=10)


@given(NAMES)
def test_mlflow_takes_every_name_and_none_are_confused(names: list[str]) -> None:
    safe = safe_names(names)
    assert list(safe) == names
    assert len({name.lower() for name in safe.values()}) == len(names)
    for name in safe.values():
        _validate_metric_name(name)
        _validate_metric_name(f"timeline/{name}.lower")
        assert "/" not in name


def test_plain_names_stay_as_they_are() -> None:
    assert safe_names(["weight.champion.mean", "wrong_ship"]) == {
        "weight.champion.mean": "weight.champion.mean",
        "wrong_ship": "wrong_ship",
    }
