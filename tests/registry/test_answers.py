"""Servers that answer what no MLflow server answers: it is said, and nothing counts as done."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sim.cli import main
from sim.errors import InputError, TrackingError
from sim.registry.answers import reaching
from sim.registry.publish import point
from sim.registry.versions import resolve


class FakeServer(ThreadingHTTPServer):
    """Answers every request with `status`, `kind` and `body`, one with a query with `listing` if given, and counts them."""

    status, kind, body, asked = 200, "application/json", b"{}", 0
    listing: bytes | None = None
    daemon_threads = True

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: FakeServer

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked += 1
        listed = self.server.listing if "?" in self.path else None
        body = self.server.body if listed is None else listed
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server on this machine; requests to it are not tried again."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with FakeServer(("127.0.0.1", 0), _Answer) as fake:
        threading.Thread(target=fake.serve_forever, daemon=True).start()
        yield fake
        fake.shutdown()


HTML = "<html><body>Please log in</body></html>"
ANSWERS = {
    "a list": "[]",
    "a text": '"fine"',
    "a number": "7",
    "null": "null",
    "no JSON": HTML,
    "cut off": '{"experiments": [{"experim',
    "another type": '{"experiments": 5}',
    "another type inside": '{"experiments": [{"experiment_id": {"a": 1}}]}',
    "a list of texts": '{"experiments": ["Default"]}',
    "deep": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "empty": "",
    "an empty object": "{}",
    "not UTF-8": b"\xff\xfe\x00",
    "a name with no end": json.dumps({"experiments": [{"experiment_id": "1", "name": 5}]}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_mlflows_is_no_success(name: str, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    body = ANSWERS[name]
    server.body = body if isinstance(body, bytes) else body.encode()
    assert main(["models", "register", "checkout", "--tracking-uri", server.uri]) == 4
    said = capsys.readouterr().err
    assert f"{server.uri} cannot be used: " in said
    assert said.count("\n") == 2, said
    assert "registered" not in said


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_what_a_server_says_is_shown_without_control_characters(
    status: int, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = status
    server.body = json.dumps({"error_code": "PERMISSION_DENIED", "message": "no\x1b[2J\x07 way \u202e"}).encode()
    assert main(["models", "register", "checkout", "--tracking-uri", server.uri]) == 4
    said = capsys.readouterr().err
    assert all(letter.isprintable() or letter == "\n" for letter in said)
    assert status in (200, 500) or "no\\x1b[2J\\x07 way \\u202e" in said


def test_html_for_an_artifact_is_no_model(server: FakeServer, registry: MlflowClient) -> None:
    server.body, server.kind = HTML.encode(), "text/html"
    registry.create_registered_model("logged-in")
    registry.create_model_version("logged-in", source=f"{server.uri}/api/2.0/mlflow-artifacts/artifacts/model")
    with pytest.raises(TrackingError, match=r"cannot be used: what it answered cannot be read"):
        resolve([("champion", "models:/logged-in/1")], registry)
    server.listing = b"{}"
    with pytest.raises(InputError, match="MLmodel file of models:/logged-in/1 is none"):
        resolve([("champion", "models:/logged-in/1")], registry)
    assert server.asked


def test_names_of_a_server_are_shown_without_control_characters(registry: MlflowClient) -> None:
    registry.create_registered_model("evil\x1b[2J")
    with pytest.raises(InputError) as caught:
        resolve([("champion", "models:/evil/1")], registry)
    assert "\x1b" not in str(caught.value)
    assert "evil\\x1b[2J" in str(caught.value)
    registry.delete_registered_model("evil\x1b[2J")


def test_a_fault_of_our_own_is_not_blamed_on_the_store() -> None:
    with pytest.raises(AttributeError), reaching("http://127.0.0.1:1"):
        point(None, "ranker", "champion", "1")  # type: ignore[arg-type]
    with pytest.raises(TrackingError, match=r"what it answered cannot be read \(TypeError\)"), reaching("http://127.0.0.1:1"):
        json.loads(7)  # type: ignore[arg-type]


def test_a_database_that_does_not_hold_every_character_is_told_what_it_needs(registry: MlflowClient) -> None:
    """MySQL and MariaDB say this of text beyond Latin-1 in a database that was made without a character set."""
    said = (
        "(pymysql.err.DataError) (1366, \"Incorrect string value: '\\\\xE2\\\\x88' for column 'ml'.'tags'.'value' at row 13\")"
    )
    rule = r"cannot be used: .* CHARACTER SET utf8mb4: .*Incorrect string value"
    with pytest.raises(TrackingError, match=rule), reaching(registry):
        raise MlflowException(said)
