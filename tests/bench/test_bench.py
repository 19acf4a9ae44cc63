"""`sim bench`: everybody plays the same system, and what was measured is told and kept."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.bench import compiling, contenders, rollouts, run
from sim.bench.compiling import Compiling
from sim.bench.measure import Contender, Missing, Row, measure
from sim.bench.result import Bench, environment
from sim.bench.scale import scale
from sim.bench.worlds import EVERYTHING, LIMIT_S, PLAIN, SERVERS, SERVICE_S, everything, play, stations
from sim.cli import main
from sim.engine.catalogue import make, no_compiler
from sim.policy.columns import COUNTS, Column, Count
from tests.analytic.formulas import erlang_c, mmc_wait

LOAD = 3.2
compiler = pytest.mark.skipif(no_compiler() is not None, reason="needs a compiler")


def quiet(text: str) -> None:
    pass


def counted(world: Any, needs: tuple[Column, ...], replications: int, mirror: float = 0.0) -> dict[Column, np.ndarray]:
    """(R, K) telemetry of a whole run, by column."""
    engines = []

    def made(*said: Any) -> Any:
        engine = make("compiled")(*said)
        step, seen = engine.step, []
        engine.step = lambda routing: seen.append(step(routing)) or seen[-1]  # type: ignore[func-returns-value]
        engines.append(seen)
        return engine

    play(world, made, replications, needs, mirror)
    total = np.sum([telemetry.counts for telemetry in engines[0]], axis=0)
    return {column: total[..., place] for place, column in enumerate(needs)}


@compiler
def test_the_stations_are_mm4_at_four_fifths() -> None:
    """The share of calls above the limit, within 4 standard errors over 60 replications."""
    seen = counted(stations(2_000_000, 60), PLAIN, 60)
    shares = seen[PLAIN[3]].sum(axis=1) / seen[Count("responses")].sum(axis=1)
    limit, rest = LIMIT_S / SERVICE_S, SERVERS - LOAD - 1
    expected = math.exp(-limit) * (1 + erlang_c(SERVERS, LOAD) * (1 - math.exp(-limit * rest)) / rest)
    assert abs(shares.mean() - expected) < 4 * shares.std(ddof=1) / math.sqrt(shares.size)


@compiler
def test_everything_is_on_where_everything_is_said_to_be() -> None:
    seen = counted(everything(200_000), EVERYTHING, 1, mirror=0.2)
    for count in COUNTS:
        assert seen[count].sum() > 0, count
    assert seen[Count("requests", mirrored=True)][0, 1] > 0


def test_cimba_plays_the_same_system() -> None:
    """Its mean time in the system is that of M/M/4, within 3% (some 5 standard errors at 400,000 requests)."""
    pytest.importorskip("cimba")
    # Cimba cannot compile in a process in which Numba has compiled something else.
    script = """
import cimba as cb
from sim.bench.cimba_stations import stations
model = stations()()
found = cb.Experiment(model, window=cb.Window(duration=2500.0), seed=3).run(workers=1)[model]
print(found.mean_s.values[0, 0], found.served.values[0, 0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    mean_s, served = map(float, done.stdout.split())
    assert mean_s / SERVICE_S == pytest.approx(1 + mmc_wait(SERVERS, LOAD), rel=0.03)
    assert served == pytest.approx(400_000, rel=0.01)


def test_a_peer_that_is_not_installed_is_left_out_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    found, missing = contenders.contenders(10_000)
    assert not any(each.peer for each in found)
    assert [each.what for each in missing[:2]] == ["ciw", "cimba"]
    assert all("rollout-sim[bench]" in each.reason for each in missing[:2])


def test_a_library_of_bandits_that_is_not_installed_is_left_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "find_spec", lambda name: None)
    found, missing = rollouts.rollouts(True)
    assert not any(each.peer for each in found)
    assert [each.what for each in missing] == ["mabwiser"]
    monkeypatch.setattr(rollouts, "find_spec", lambda name: name)
    assert [each.key for each in rollouts.rollouts(True)[0] if each.peer] == ["mabwiser"]


def test_mabwiser_plays_as_many_ticks_as_it_says() -> None:
    pytest.importorskip("mabwiser")
    assert rollouts.mabwiser_thompson(2) == 2.0


def test_without_a_compiler_the_other_rows_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "no_compiler", lambda: "ImportError: no numba")
    found, missing = contenders.contenders(10_000)
    assert {"simpy_plain", "simpy", "aggregate"} <= {each.key for each in found}
    assert "ImportError: no numba" in missing[-1].reason


def test_a_peer_that_fails_is_left_out_and_a_row_of_ours_is_not() -> None:
    fails = partial(math.sqrt, -1.0)
    works = Contender("works", "works", lambda: 5.0)
    rows, missing = measure([works, Contender("peer", "peer", fails, peer=True)], 1, quiet)
    assert [row.key for row in rows] == ["works"]
    assert missing == [Missing("peer", "failed: ValueError: math domain error")]
    with pytest.raises(ValueError, match="math domain error"):
        measure([Contender("ours", "ours", fails)], 1, quiet)


def test_contenders_take_turns() -> None:
    turns: list[str] = []
    both = [Contender(key, key, lambda key=key: turns.append(key) or 1.0) for key in "ab"]  # type: ignore[func-returns-value,misc]
    measure(both, 2, quiet)
    assert "".join(turns) == "ababab"


def made(*rows: Row) -> Bench:
    return Bench(environment(), 3, list(rows), [Missing("cimba", "is not installed")], Compiling(9.0, 9.5, 0.3, 0.4), [])


SLOW = Row("simpy_plain", "idiomatic SimPy", (100.0,) * 3, (1.0, 1.0, 2.0), (1.0, 1.0, 2.0))
FAST = Row("compiled", "engine compiled", (1e6,) * 3, (0.05, 0.05, 0.1), (0.05, 0.05, 0.4))


def test_ratios_are_of_a_round_and_missing_ones_are_not_made_up() -> None:
    found = made(SLOW, FAST)
    text = "\n".join(found.lines())
    assert "20.0 M" in text
    assert "200,000" in text
    assert "left out: cimba is not installed" in text
    assert "4.0 times its processor time" in text
    kept = found.to_dict()["throughput"][1]
    assert kept["times_simpy_plain"] == 200_000
    assert "times_cimba" not in kept


def test_the_plain_loop_tests_what_we_test() -> None:
    """Both declare as often, with and without an effect, within 4 standard errors of their difference."""
    for effect in (0.0, 0.05):
        ours, plain = rollouts.five_looks(2000, effect), rollouts.plain_five_looks(2000, effect)
        share = (ours.mean() + plain.mean()) / 2
        assert 0 < share < 1
        assert abs(ours.mean() - plain.mean()) < 4 * math.sqrt(2 * share * (1 - share) / 2000)


def test_rollouts_are_told_and_kept_by_what_they_count() -> None:
    played = Row("undecided_ab", "undecided A/B, trial-ticks/s", (3e6,) * 3, (2.0,) * 3, (2.0,) * 3)
    found = replace(made(SLOW), rollouts=[played])
    assert "1.50 M" in "\n".join(found.lines())
    (kept,) = found.to_dict()["rollouts"]
    assert (kept["key"], kept["per_s"]) == ("undecided_ab", 1.5e6)


def test_what_is_kept_explains_the_figures_and_names_no_machine() -> None:
    kept = made(SLOW, FAST).to_dict()
    assert kept["environment"]["packages"]["numpy"] == np.__version__
    text = json.dumps(kept)
    assert (platform.node() or "?") not in text
    assert str(Path.cwd()) not in text
    assert str(Path.home()) not in text


@compiler
def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    """Ten times the requests in ticks of one size hold at most a tenth more, for the telemetry of ten times the ticks."""
    small, large = scale((480_000, 4_800_000), 1, quiet)
    assert large.requests > 9 * small.requests
    assert large.peak_bytes < 1.1 * small.peak_bytes


@compiler
def test_the_first_call_is_measured_in_fresh_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    # The machine code of this machine instead of an empty folder, so that nothing is compiled twice.
    monkeypatch.setattr(compiling.tempfile, "TemporaryDirectory", lambda: nullcontext(numba.config.CACHE_DIR))
    found = compiling.compiling()
    assert min(found.cold_cpu_s, found.cold_wall_s, found.cached_cpu_s, found.cached_wall_s) > 0


@compiler
def test_bench_prints_and_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "compiling", lambda: Compiling(9.0, 9.5, 0.3, 0.4))
    monkeypatch.setattr(run, "QUICK_SIZES", (1000,))
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    out = tmp_path / "new" / "bench.json"
    assert main(["bench", "--quick", "--rounds", "2", "--requests", "20000", "--out", str(out)]) == 0
    said = capsys.readouterr()
    for row in (
        "bare draws",
        "idiomatic SimPy",
        "engine simpy",
        "engine compiled",
        "engine aggregate",
        "undecided Thompson",
        "five looks",
        "left out: cimba",
    ):
        assert row in said.out
    assert "round 2 of 2" in said.err
    kept = json.loads(out.read_text(encoding="utf-8"))
    assert {len(row["cpu_s"]) for row in kept["throughput"]} == {2}
    assert kept["sizes"][0]["requests"] > 800


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "measure", lambda *said: pytest.fail("measured"))
    assert main(["bench", "--out", str(tmp_path)]) == 2
    assert f"--out: must be a file that can be written, got {tmp_path}" in capsys.readouterr().err
