"""Registering behaviour models: once, in order, safe to repeat and to interrupt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
from mlflow import MlflowClient

from sim.cli import main
from sim.errors import InputError
from sim.registry import register as module
from sim.registry.behaviour import ModelsFile
from sim.registry.publish import EXPERIMENT
from sim.registry.register import register
from sim.registry.store import quiet
from sim.registry.versions import artifacts, resolve


def models_file(name: str, *rates: float, **labels: str) -> ModelsFile:
    aliases = ("champion", "challenger", "third")
    versions: list[dict[str, Any]] = [
        {"alias": alias, "outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} | labels
        for alias, rate in zip(aliases, rates, strict=False)
    ]
    return ModelsFile.model_validate({"model": name, "versions": versions})


def aliases(registry: MlflowClient, name: str) -> dict[str, str]:
    return {alias: str(number) for alias, number in registry.get_registered_model(name).aliases.items()}


def test_the_same_text_registers_nothing_new(registry: MlflowClient) -> None:
    file = models_file("twice", 0.05, 0.06)
    first, again = register(file, registry), register(file, registry)
    assert [(done.version, done.created) for done in first] == [("1", True), ("2", True)]
    assert [(done.version, done.created) for done in again] == [("1", False), ("2", False)]


def test_a_changed_version_is_the_next_one_and_takes_the_alias(registry: MlflowClient) -> None:
    register(models_file("changed", 0.05, 0.06), registry)
    done = register(models_file("changed", 0.05, 0.07), registry)
    assert [(d.version, d.created) for d in done] == [("1", False), ("3", True)]
    assert aliases(registry, "changed") == {"champion": "1", "challenger": "3"}
    back = register(models_file("changed", 0.05, 0.06), registry)
    assert [(d.version, d.created) for d in back] == [("1", False), ("2", False)]
    assert aliases(registry, "changed") == {"champion": "1", "challenger": "2"}


def test_equal_versions_of_an_a_a_test_are_both_there(registry: MlflowClient) -> None:
    file = models_file("equal", 0.05, 0.05)
    for created in (True, False):
        done = register(file, registry)
        assert [(d.version, d.alias, d.created) for d in done] == [
            ("1", "champion", created),
            ("2", "challenger", created),
        ]
    assert aliases(registry, "equal") == {"champion": "1", "challenger": "2"}


def test_a_new_description_is_no_new_version(registry: MlflowClient) -> None:
    register(models_file("described", 0.05, description="old"), registry)
    (done,) = register(models_file("described", 0.05, description="new"), registry)
    assert not done.created
    assert registry.get_model_version("described", "1").description == "new"


@pytest.mark.parametrize("after", [0, 1])
def test_an_interrupted_registration_is_finished_by_the_next(
    registry: MlflowClient, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    name = f"interrupted-{after}"
    file, calls = models_file(name, 0.05, 0.06), []

    def interrupt(*args: Any) -> None:
        calls.append(args)
        if len(calls) > after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "point", interrupt)
        with pytest.raises(KeyboardInterrupt):
            register(file, registry)
    register(file, registry)
    assert len(registry.search_model_versions(f"name='{name}'")) == 2
    assert aliases(registry, name) == {"champion": "1", "challenger": "2"}


def test_an_interruption_while_logging_leaves_no_version(registry: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_model_artifacts", interrupt)
        with pytest.raises(KeyboardInterrupt):
            register(models_file("half", 0.05), registry)
    assert registry.search_model_versions("name='half'") == []
    assert [done.version for done in register(models_file("half", 0.05), registry)] == ["1"]


def test_a_registered_behaviour_is_read_back_and_made_by_a_run(registry: MlflowClient) -> None:
    file = models_file("read-back", 0.05)
    register(file, registry)
    (version,) = resolve([("champion", "models:/read-back@champion")], registry)
    assert version.kind == "behaviour"
    assert version.behaviour == file.versions[0].behaviour
    assert version.digest == version.tags["sim.digest"] == file.versions[0].behaviour.digest()
    assert version.run_id is not None
    assert registry.get_run(version.run_id).info.status == "FINISHED"
    assert version.model_id is not None
    assert registry.get_logged_model(version.model_id).source_run_id == version.run_id


def test_any_mlflow_can_load_a_behaviour_model(registry: MlflowClient) -> None:
    register(models_file("loaded", 0.05), registry)
    (version,) = resolve([("champion", "models:/loaded/1")], registry)
    with quiet():
        model = mlflow.pyfunc.load_model(str(artifacts(version, registry)))
    assert model.predict([1, 2]) == [version.behaviour.to_dict()] * 2


def test_nothing_reaches_the_terminal(registry: MlflowClient, capfd: pytest.CaptureFixture[str]) -> None:
    register(models_file("quiet", 0.05), registry)
    assert capfd.readouterr() == ("", "")


def test_mlflow_global_state_stays_as_it_was(registry: MlflowClient) -> None:
    before = mlflow.get_tracking_uri()
    register(models_file("explicit", 0.05), registry)
    assert mlflow.get_tracking_uri() == before != registry.tracking_uri
    assert mlflow.active_run() is None


@pytest.mark.parametrize("name", ["a.b.c", "main.ranking.checkout"])
def test_a_name_that_the_store_refuses_is_blamed_at_its_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(
        f"# Levels\nmodel: {name}\nversions:\n  - {{outcomes: {{buy: {{bernoulli: 10%}}}}, latency: {{constant: 20ms}}}}\n"
    )
    assert main(["models", "register", str(file), "--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]) == 2
    err = capsys.readouterr().err
    assert f"models.yaml:2:8 model: the store sqlite:///{tmp_path}" in err
    assert "takes no dot in a model's name (MLflow's rule; other registries may)" in err
    # Nothing is made to find that out.
    assert [each.name for each in tmp_path.iterdir()] == ["models.yaml"]


def test_a_name_that_only_the_server_refuses_is_blamed_and_leaves_no_run(registry: MlflowClient) -> None:
    """As of a server, whose rule shows when it is asked."""
    with pytest.raises(InputError, match=r"model: .* refuses 'a\.server'") as caught:
        register(models_file("a.server", 0.05), registry)
    assert caught.value.problems[0].path == "model"
    experiment = registry.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    assert not [run for run in registry.search_runs([experiment.experiment_id]) if run.info.run_name == "a.server"]
