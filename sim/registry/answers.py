"""What stores answer, in plain words: every failure of a store becomes one kind of error."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from sim.errors import TrackingError
from sim.registry.addresses import said, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's and Alembic's log lines, warnings and progress bars from the user's terminal."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        # Recording keeps warnings off the terminal even where MLflow resets the filters to "always".
        with warnings.catch_warnings(record=True):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def reaching(client: MlflowClient | str) -> Iterator[None]:
    """Run the block quietly, and raise every failure of the store as a `TrackingError` in plain words, without passwords.

    `client` is a client, or the URI of a store. What our own code raises in the block is left as it is, except `OSError`.
    """
    # MLflow sets its loggers up when it is imported: before they are quietened.
    import mlflow.exceptions  # noqa: F401

    uris = (client,) if isinstance(client, str) else _uris(client)
    try:
        with quiet():
            yield
    except Exception as error:
        if _ours(error) and not isinstance(error, OSError | sqlite3.Error):
            raise
        # The error may quote the address with its password, so it must not be printed as the cause.
        raise TrackingError(_reason(error, uris)) from None


def given(value: T | None, what: str, client: MlflowClient) -> T:
    """A value of a store's answer, which must not be empty. Raises `TrackingError` where it is.

    MLflow reads an empty answer as one in which everything is empty.
    """
    if not value:
        raise TrackingError(
            f"the MLflow store {shown(client.tracking_uri)} cannot be used: it answered without {what}; is it an MLflow server?"
        )
    return value


def _reason(error: Exception, uris: tuple[str, ...]) -> str:
    import requests
    from mlflow.exceptions import MlflowException, RestException

    where, text = shown(uris[0]), str(error)
    if re.search(r"out-of-date database schema", text):
        return f"the store {where} was written by another version of MLflow: back it up, then run `mlflow db upgrade` on it"
    if "Incorrect string value" in text:
        rule = "its tables do not hold every character, as those of a database that is made with CHARACTER SET utf8mb4"
        return f"the MLflow store {where} cannot be used: {rule}: {said(text, *uris)}"
    if isinstance(error, RestException):
        return f"the MLflow server {where} refused: {said(text, *uris)}"
    if isinstance(error, MlflowException | requests.RequestException) and where.startswith("http"):
        if "not in a valid JSON format" in text:
            return f"the MLflow server {where} cannot be used: its answer is not MLflow's; is the address right?"
        if found := re.search(r"too many (\d+) error responses", text):
            return f"the MLflow server {where} cannot be used: it answers with error {found[1]}, again and again"
        if re.search(r"failed with exception|Max retries|timed out|Connection", text):
            return f"the MLflow server {where} cannot be reached: is it running, and is the address right?"
    known = isinstance(error, MlflowException | requests.RequestException | OSError | sqlite3.Error)
    known = known or type(error).__module__.startswith("sqlalchemy")
    kind = "" if known and not isinstance(error, ValueError) else f"what it answered cannot be read ({type(error).__name__}): "
    return f"the MLflow store {where} cannot be used: {kind}{said(text, *uris)}"


def _uris(client: MlflowClient) -> tuple[str, ...]:
    return client.tracking_uri, getattr(client, "_registry_uri", client.tracking_uri)


def _ours(error: Exception) -> bool:
    """Whether the innermost code that raised is ours, and not of MLflow or of what it calls."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("sim.")
