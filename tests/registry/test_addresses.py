"""Addresses of stores: what cannot be one is said before anything is done, and passwords are never shown."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import InputError, TrackingError
from sim.registry.addresses import addresses, said, shown
from sim.registry.answers import reaching

BAD = {
    "sqlite://": "what is kept in memory is gone",
    "sqlite:///:memory:": "what is kept in memory is gone",
    "sqlite:///file:x?mode=memory&uri=true": "what is kept in memory is gone",
    "sqlite://mlflow.db": "three slashes",
    "sqlite:///file:mlflow.db?uri=true": "without 'file:'",
    "http://[": "cannot be read",
    "http://": "names no host",
    "https://mlflow.example.org:many": "cannot be read",
    "foo://ann:hunter2@host": "must begin with http://",
    "postgres://ann:hunter2@host/mlflow": "did you mean 'postgresql'",
    "ann:hunter2@host": "must begin with http://",
    "postgresql+nothing://ann:hunter2@host/mlflow": "a driver that SQLAlchemy does not know",
    "postgresql://ann:hunter2@host:port/mlflow": "the address of a database",
    "http://host\x1b[2J": "control characters",
}
DRIVERS = {
    "postgresql+psycopg2://ann:hunter2@host/mlflow": ("psycopg2", "psycopg2-binary"),
    "mysql+pymysql://ann:hunter2@host/mlflow": ("pymysql", "pymysql"),
    "mysql://ann:hunter2@host/mlflow": ("MySQLdb", "mysqlclient"),
    "mssql+pyodbc://ann:hunter2@host/mlflow": ("pyodbc", "pyodbc"),
    "mssql+pymssql://host/mlflow?password=hunter2": ("pymssql", "pymssql"),
}


@pytest.mark.parametrize("uri", BAD)
def test_what_cannot_be_an_address_is_said_before_anything_is_done(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models", "register", "checkout", "--tracking-uri", uri]) == 2
    said = capsys.readouterr().err
    assert "tracking_uri: " in said
    assert BAD[uri] in said
    assert "got '" in said
    assert "hunter2" not in said
    assert "\x1b" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", DRIVERS)
def test_a_driver_that_is_not_installed_is_named_with_its_package(
    uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, package = DRIVERS[uri]
    # None in sys.modules makes the import fail as where it is not installed.
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["models", "register", "checkout", "--registry-uri", uri]) == 2
    said = capsys.readouterr().err
    assert f"registry_uri: needs the package {package}, which is not installed: pip install '{package}'" in said
    assert "hunter2" not in said
    assert said.count("needs the package") == 1


def test_the_variable_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo://host")
    assert main(["models", "register", "checkout"]) == 2
    assert "MLFLOW_TRACKING_URI: must begin with" in capsys.readouterr().err


def test_several_wrong_addresses_are_all_said() -> None:
    with pytest.raises(InputError) as caught:
        addresses("foo://a", "bar://b")
    assert [problem.path for problem in caught.value.problems] == ["tracking_uri", "registry_uri"]


SECRETS = {
    "postgresql://ann:hunter2@db/mlflow": "hunter2",
    "http://ann:hun/ter?2#@db/x": "hun/ter?2#",
    "http://ann:hun%20ter@db/x": "hun ter",
    "mysql://db/x?sslpassword=hunter2": "hunter2",
}


@pytest.mark.parametrize("uri", SECRETS)
def test_a_password_is_shown_nowhere(uri: str) -> None:
    assert "hun" not in shown(uri)
    with pytest.raises(TrackingError) as caught, reaching(uri):
        raise ConnectionError(f"cannot open {uri}, with {SECRETS[uri]}")
    assert "hun" not in str(caught.value)
    # Nor is what was raised first printed with it.
    printed = "".join(traceback.format_exception(caught.value))
    assert "cannot open" not in printed.replace('raise ConnectionError(f"cannot open', "").replace(str(caught.value), "")


def test_a_password_of_the_environment_is_not_shown_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    assert said("401: hunter2 is wrong", "http://db") == "401: … is wrong"
