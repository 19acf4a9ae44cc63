"""The addresses of stores: which ones a command uses, whether they can be addresses at all, and how they are shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from sim.errors import InputError, Problem, visible
from sim.spelling import did_you_mean

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SCHEMES = ("http", "https", *DATABASES, "file", "databricks", "databricks-uc", "uc")
_PLUGINS = ("mlflow.tracking_store", "mlflow.model_registry_store")
_SECRET = re.compile(r"pass|pwd|token|secret|key|credential", re.IGNORECASE)
_LONGEST = 300


@dataclass(frozen=True)
class Addresses:
    """Where runs and where model versions are kept. `named` is whether an argument or the environment names the registry."""

    tracking: str
    registry: str
    named: bool


def addresses(tracking_uri: str | None = None, registry_uri: str | None = None) -> Addresses:
    """The addresses that arguments name, else those of MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI, else `default_uri()`.

    A registry that nobody names is in the tracking store. Raises `InputError` with every address that cannot be one.

    >>> addresses("http://mlflow.example.org")
    Addresses(tracking='http://mlflow.example.org', registry='http://mlflow.example.org', named=True)
    >>> addresses("sqlite://")
    Traceback (most recent call last):
    sim.errors.InputError: tracking_uri: must name a file, as in sqlite:///mlflow.db, because what is kept in memory is ...
    """
    unset = [
        variable
        for variable, uri in (("MLFLOW_TRACKING_URI", tracking_uri), ("MLFLOW_REGISTRY_URI", registry_uri))
        if not uri and _environment(variable)
    ]
    places = {_environment(variable): variable for variable in unset}
    places |= {uri: place for place, uri in (("tracking_uri", tracking_uri), ("registry_uri", registry_uri)) if uri}
    problems = [Problem(problem, path=place) for uri, place in places.items() if (problem := _problem(uri))]
    if problems:
        raise InputError(problems)
    tracking = tracking_uri or default_uri()
    registry = registry_uri or _environment("MLFLOW_REGISTRY_URI") or tracking
    return Addresses(tracking, registry, bool(registry_uri or tracking_uri or unset))


def default_uri(root: Path | None = None) -> str:
    """The URI that MLFLOW_TRACKING_URI names, else of an SQLite store in `root` (the current folder).

    >>> import os
    >>> named = os.environ.pop("MLFLOW_TRACKING_URI", None)
    >>> default_uri(Path("/team")).removeprefix("sqlite:///").endswith("/team/mlflow.db")
    True
    """
    if named := _environment("MLFLOW_TRACKING_URI"):
        return named
    return f"sqlite:///{((root or Path.cwd()).resolve() / 'mlflow.db').as_posix()}"


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for other stores."""
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", uri)
    return Path(match[1]).resolve() if match else None


def absent(tracking_uri: str | None, registry_uri: str | None = None) -> bool:
    """Whether the registry is an SQLite store that nobody has made yet."""
    file = sqlite_file(addresses(tracking_uri, registry_uri).registry)
    return file is not None and not file.exists()


def shown(uri: str) -> str:
    """The URI without user, password and query.

    >>> shown("https://ann:secret@mlflow.example.org"), shown("postgresql://ann:a/b?c@db/mlflow?sslpassword=secret")
    ('https://mlflow.example.org', 'postgresql://db/mlflow')
    """
    scheme, place = _parted(uri)
    if scheme in ("", "file") or scheme.startswith("sqlite"):
        return visible(uri.partition("?")[0])
    slashes = "//" if place.startswith("//") else ""
    # A password may hold any letter, and people do not escape them: all before the last @ is left out.
    rest = place.removeprefix("//").rpartition("@")[2]
    return visible(f"{scheme}:{slashes}{re.split('[?#]', rest, maxsplit=1)[0]}")


def said(text: object, *uris: str) -> str:
    """What a store at one of the URIs said, or an error about it: its first line, without passwords or control characters.

    >>> said("cannot connect to http://ann:secret@db\\x1b[2J\\nat line 5", "http://ann:secret@db")
    'cannot connect to http://db\\\\x1b[2J'
    """
    line = str(text).strip().split("\n")[0]
    for uri in uris:
        line = line.replace(uri, shown(uri))
        for secret in _secrets(uri):
            line = line.replace(secret, "…")
    return visible(re.sub(r"://[^\s/@]*@", "://", line))[:_LONGEST]


def _environment(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _parted(uri: str) -> tuple[str, str]:
    """The scheme in small letters, and what follows its colon. A drive of Windows is no scheme."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", uri, re.DOTALL)
    return (match[1].lower(), match[2]) if match else ("", uri)


def _secrets(uri: str) -> set[str]:
    """The passwords in a URI, and those that MLflow takes from the environment, as they are written and as they are read."""
    scheme, place = _parted(uri)
    found = {_environment("MLFLOW_TRACKING_PASSWORD"), _environment("MLFLOW_TRACKING_TOKEN")}
    if scheme not in ("", "file"):
        user, _, _ = place.removeprefix("//").rpartition("@")
        found.add(user.partition(":")[2])
        found |= {value for key, value in parse_qsl(place.partition("?")[2]) if _SECRET.search(key)}
    # Of one or two letters nothing would be left of a message.
    return {form for secret in found for form in (secret, unquote(secret)) if len(form) > 2}


def _problem(uri: str) -> str:
    """Why a URI cannot be an address of a store; empty if it can."""
    scheme, place = _parted(uri)
    if not uri.isprintable():
        return f"must not have control characters; got {visible(uri)!r}"
    if scheme in ("http", "https"):
        return _server_problem(uri)
    if scheme.startswith("sqlite"):
        return _sqlite_problem(uri, place)
    base = scheme.partition("+")[0]
    if scheme and scheme not in _SCHEMES and base not in DATABASES and not _plugin(scheme):
        rule = "must begin with http://, https://, sqlite:///, postgresql://, mysql:// or mssql://"
        near = did_you_mean(scheme, _SCHEMES)
        return f"{rule}{f'; {near}' if near else ''}; got {shown(uri)!r}"
    return _driver_problem(uri) if base in DATABASES else ""


def _plugin(scheme: str) -> bool:
    return any(entry.name == scheme for group in _PLUGINS for entry in entry_points(group=group))


def _server_problem(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        if parts.hostname and (parts.port is None or parts.port > 0):
            return ""
        reason = "it names no host" if not parts.hostname else "its port is 0"
    except ValueError:
        # Its text may quote what stands before the @.
        reason = "its host or port cannot be read"
    return f"must be the address of a server, as in http://mlflow.example.org:5000; {reason}; got {shown(uri)!r}"


def _sqlite_problem(uri: str, place: str) -> str:
    path = place.partition("?")[0]
    if path in ("//", "///") or ":memory:" in place or "mode=memory" in place:
        rule = "must name a file, as in sqlite:///mlflow.db, because what is kept in memory is gone when the command ends"
    elif not place.startswith("///"):
        rule = "must have three slashes before a file, as in sqlite:///mlflow.db, and four before an absolute path"
    elif path.startswith("///file:"):
        rule = "must name its file without `file:`, as in sqlite:///mlflow.db"
    else:
        return "" if uri.startswith("sqlite:") else _driver_problem(uri)
    return f"{rule}; got {shown(uri)!r}"


_PACKAGES = {
    "psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]", "pg8000": "pg8000", "asyncpg": "asyncpg",
    "MySQLdb": "mysqlclient", "pymysql": "pymysql", "mysql": "mysql-connector-python", "mariadb": "mariadb",
    "pyodbc": "pyodbc", "pymssql": "pymssql",
}  # fmt: skip
"""The package of each driver; its module has another name."""


def _driver_problem(uri: str) -> str:
    """Why no driver can open the database; empty if one can."""
    import sqlalchemy.exc
    from sqlalchemy.engine import make_url

    try:
        url = make_url(uri)
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except sqlalchemy.exc.NoSuchModuleError:
        return f"names a driver that SQLAlchemy does not know; got {shown(uri)!r}"
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return f"must be the address of a database, as in postgresql://user:password@host/name; got {shown(uri)!r}"
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        if module in _PACKAGES:
            package = _PACKAGES[module]
            return f"needs the package {package}, which is not installed: pip install '{package}'; got {shown(uri)!r}"
        return f"needs a driver that cannot be loaded here: {said(error, uri)}; got {shown(uri)!r}"
    return ""
