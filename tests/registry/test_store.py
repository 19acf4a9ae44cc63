"""The embedded store, and a server that cannot be reached."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sim.errors import TrackingError
from sim.registry.store import client, default_uri, experiment, prepare, shown


def test_the_default_is_a_file_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_uri() == default_uri(tmp_path) == f"sqlite:///{tmp_path.resolve() / 'mlflow.db'}"


def test_the_environment_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.org")
    assert default_uri() == "http://mlflow.example.org"


def test_a_fresh_store_is_prepared_quietly_and_keeps_artifacts_beside_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = default_uri(tmp_path)
    opened = client(uri)
    made = experiment(opened, "trials")
    assert experiment(opened, "trials") == made
    assert opened.get_experiment(made).artifact_location == (tmp_path / "mlartifacts").resolve().as_uri()
    assert capfd.readouterr() == ("", "")


@pytest.mark.faults
def test_processes_that_prepare_one_store_at_once_do_not_harm_it(tmp_path: Path) -> None:
    uri = default_uri(tmp_path)
    code = f"from sim.registry.store import prepare; prepare({uri!r})"
    workers = [
        subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], stderr=subprocess.PIPE) for _ in range(2)
    ]
    said = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert experiment(client(uri), "trials")


def test_a_store_in_no_folder_is_refused_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="there is no folder"):
        prepare(default_uri(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be read as the header of one" * 20)
    with pytest.raises(TrackingError, match="cannot be used"):
        client(default_uri(tmp_path))


def test_a_deleted_experiment_is_named(tmp_path: Path) -> None:
    opened = client(default_uri(tmp_path))
    opened.delete_experiment(experiment(opened, "trials"))
    with pytest.raises(TrackingError, match="'trials' is deleted"):
        experiment(opened, "trials")


def test_an_unreachable_server_is_said_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="cannot be reached: is it running") as caught:
        client(f"http://ann:secret@127.0.0.1:{port}")
    assert "secret" not in str(caught.value)


def test_short_waits_are_set_but_not_over_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    client(default_uri(tmp_path))
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "60"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"


def test_a_password_is_never_shown() -> None:
    assert shown("postgresql://ann:secret@db/mlflow") == "postgresql://db/mlflow"


def test_a_registry_that_is_named_wins_over_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a registered model runs its code: only from where the user said."""
    monkeypatch.chdir(tmp_path)
    named, other = f"sqlite:///{tmp_path / 'named.db'}", f"sqlite:///{tmp_path / 'other.db'}"
    client(named, named).create_registered_model("ours")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", other)
    assert [model.name for model in client(named, named).search_registered_models()] == ["ours"]
    assert client(named).search_registered_models() == []
