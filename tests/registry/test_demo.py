"""The demo's versions are what their descriptions say; measuring them keeps a profile."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.pyfunc import PyFuncModel

from sim.errors import InputError
from sim.registry.behaviour import ModelsFile
from sim.registry.data import load_data
from sim.registry.demo import BIOPSIES, DATA, MODEL, demo
from sim.registry.measure import measure
from sim.registry.publish import Registered
from sim.registry.register import register
from sim.registry.versions import resolve, signature_of

LIVE = load_data(DATA)


def test_the_challenger_is_better_and_the_biased_version_only_looks_so(
    registry: MlflowClient, digits: list[Registered]
) -> None:
    tags = {d.alias: registry.get_model_version(d.name, d.version).tags for d in digits}
    offline = {alias: float(tag["sim.offline_score"]) for alias, tag in tags.items()}
    live = {alias: float(tag["sim.live_score"]) for alias, tag in tags.items()}
    assert offline["biased"] > offline["challenger"] > offline["champion"]
    assert live["challenger"] > live["champion"] > live["biased"]


def test_the_biopsies_leave_open_which_version_is_better(registry: MlflowClient, digits: list[Registered]) -> None:
    """228 rows: the challenger is right in a few more of them, which is less than two standard errors."""
    live = {
        alias: float(registry.get_model_version_by_alias(BIOPSIES, alias).tags["sim.live_score"])
        for alias in ("champion", "challenger")
    }
    assert 0 < live["challenger"] - live["champion"] < 2 * (2 * 0.05 * 0.95 / 228) ** 0.5


def test_every_version_is_complete(registry: MlflowClient, digits: list[Registered]) -> None:
    for done in digits:
        (version,) = resolve([(done.alias or "", f"models:/digits@{done.alias}")], registry)
        assert version.kind == "replay"
        assert version.pinned == done.uri
        assert {"sim.training_data_digest", "sim.training_rows", "sim.created"} <= set(version.tags)
        assert signature_of(version, registry).inputs.input_names() == list(LIVE.features.columns)
        assert version.run_id is not None
        assert registry.get_run(version.run_id).data.metrics.keys() == {"offline_score", "live_score"}


def test_running_it_again_registers_and_measures_nothing(registry: MlflowClient, digits: list[Registered]) -> None:
    before = resolve([("a", done.uri) for done in digits], registry)
    again = demo(registry)
    assert [done for done in again if done.name == MODEL] == [dataclasses.replace(done, created=False) for done in digits]
    assert not any(done.created for done in again)
    assert resolve([("a", done.uri) for done in digits], registry) == before


def test_a_measured_profile_is_what_resolve_reads(registry: MlflowClient, digits: list[Registered]) -> None:
    profile = measure(digits[0].uri, registry, data=LIVE, calls=40)
    (version,) = resolve([("champion", digits[0].uri)], registry)
    assert version.behaviour.latency == profile.latency
    assert profile.levels[0] == 0
    assert profile.levels[-1] == 1
    assert np.all(np.diff(profile.values_s) >= 0)
    assert profile.values_s[0] > 0
    assert (profile.error_rate, profile.calls) == (0.0, 40)


def test_failures_are_an_error_share_and_no_latency(
    registry: MlflowClient, digits: list[Registered], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, calls = PyFuncModel.predict, iter(range(1000))

    def sometimes(self: PyFuncModel, *args: object, **kwargs: object) -> object:
        if next(calls) % 4 == 3:
            raise RuntimeError("no answer")
        return predict(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(PyFuncModel, "predict", sometimes)
        profile = measure(digits[0].uri, registry, data=LIVE, calls=40)
    assert profile.error_rate == 0.25
    assert measure(digits[0].uri, registry, data=LIVE, calls=40).error_rate == 0


def test_a_model_that_always_fails_is_refused_and_keeps_its_profile(
    registry: MlflowClient, digits: list[Registered], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: PyFuncModel, *args: object, **kwargs: object) -> object:
        raise RuntimeError("no answer")

    before = resolve([("a", digits[0].uri)], registry)
    with monkeypatch.context() as patched:
        patched.setattr(PyFuncModel, "predict", never)
        with pytest.raises(InputError, match="fails on every row: RuntimeError: no answer"):
            measure(digits[0].uri, registry, data=LIVE, calls=40)
    assert resolve([("a", digits[0].uri)], registry) == before


def test_only_real_models_are_measured(registry: MlflowClient) -> None:
    version = {"outcomes": {"sale": {"bernoulli": "5%"}}, "latency": {"constant": "1ms"}}
    register(ModelsFile.model_validate({"model": "stated", "versions": [version]}), registry)
    with pytest.raises(InputError, match="its latency is stated"):
        measure("models:/stated/1", registry, data=LIVE)
    with pytest.raises(InputError, match="at least 20 calls for its quantiles; got 5"):
        measure("models:/stated/1", registry, data=LIVE, calls=5)
