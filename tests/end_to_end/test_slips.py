"""Command lines with a slip: the word that is wrong is named, with the one that was meant."""

from __future__ import annotations

import contextlib

import pytest

from sim.cli import main


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run --replicatons 10 x.yaml", "unknown option --replicatons; replications is a key of the scenario file: --set "
         "replications=VALUE"),
        ("run x.yaml --traking-uri=here", "sim run: error: unknown option --traking-uri; did you mean --tracking-uri?"),
        ("run --horizon 3d x.yaml", "unknown option --horizon; horizon is a key of the scenario file: --set horizon=VALUE"),
        ("run -x x.yaml", "sim run: error: unknown option -x; `sim run --help` lists the options"),
        ("check --quite x.yaml", "sim check: error: unknown option --quite; did you mean --quiet?"),
        ("models measure u --dta digits", "sim models measure: error: unknown option --dta; did you mean --data?"),
        ("rnu x.yaml", "sim: error: unknown verb 'rnu'; did you mean 'run'?"),
        ("--verson", "sim: error: unknown option --verson; did you mean --version?"),
        ("models registr x.yaml", "sim models: error: unknown verb 'registr'; did you mean 'register'?"),
        ("simulate x.yaml", "sim: error: unknown verb 'simulate'; there are init, calibrate, import, export, assess, "),
    ],
)  # fmt: skip
def test_a_slip_is_named(line: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(line.split())
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("line", ["run --repo here x.yaml", "run x.yaml --quie", "trace x.yaml --policy ab --replication -1"])
def test_what_argparse_takes_is_left_to_it(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option may be cut short, and a negative number is a value."""
    with contextlib.suppress(SystemExit):
        main(line.split())
    assert "unknown option" not in capsys.readouterr().err
