"""What a version keeps of its rehearsals is bounded, and what people wrote stays."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from sim.registry.annotation import annotated, by_people
from sim.registry.behaviour import ModelsFile
from sim.registry.register import register
from sim.registry.rehearsals import MOST, Rehearsed, Shares, mark, rehearsals
from sim.registry.store import client as open_client

DONE = Rehearsed(
    "0123456789abcdef", "checkout", "2026-01-02T03:04:05+00:00", "f" * 32, "challenger", "ranker/1", "ab",
    policies={"ab": Shares((0.9, 0.85, 0.94), (0.1, 0.06, 0.15)), "hold": Shares((0.0, 0.0, 0.01), (1.0, 0.99, 1.0))},
)  # fmt: skip


def model(registry: MlflowClient, name: str, description: str = "") -> str:
    spec = {"outcomes": {"sale": {"bernoulli": 0.05}}, "latency": {"constant": "45ms"}, "description": description}
    register(ModelsFile.model_validate({"model": name, "versions": [spec]}), registry)
    return name


def tags(registry: MlflowClient, name: str) -> dict[str, str]:
    return dict(registry.get_model_version(name, "1").tags)


def test_a_rehearsal_is_read_as_it_was_written() -> None:
    swept = replace(DONE, policies={}, took=None, points=(("1%", "ab"), ("2%", None)))
    for each in (DONE, swept):
        assert Rehearsed.from_tag(each.to_tag()) == each


def test_a_tag_stays_small_whatever_the_names_and_numbers() -> None:
    shares = DONE.policies["ab"]
    many = replace(
        DONE, name="n" * 500, arm="a" * 500, took="p" * 500,
        policies={f"{'q' * 300}{at}": shares for at in range(1000)} | {"p" * 500: shares},
    )  # fmt: skip
    assert len(many.to_tag()) < 5000
    assert Rehearsed.from_tag(many.to_tag()).left_out == 1001 - len(Rehearsed.from_tag(many.to_tag()).policies)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"digest": 1}', DONE.to_tag().replace("0.85,", "")])
def test_an_edited_tag_is_named_and_not_taken(text: str) -> None:
    assert rehearsals({"sim.rehearsed.ab": text}) == ([], ["sim.rehearsed.ab"])


def test_the_same_scenario_again_replaces_its_tag_and_an_older_result_does_not(registry: MlflowClient) -> None:
    name = model(registry, "again")
    later, older = replace(DONE, at="2026-02-01T00:00:00+00:00", run="a" * 32), replace(DONE, run="b" * 32)
    for each in (DONE, later, older):
        mark(registry, name, "1", each)
    assert rehearsals(tags(registry, name)) == ([later], [])


def test_several_at_once_lose_nothing_and_the_newest_are_kept(registry: MlflowClient) -> None:
    name = model(registry, "many")
    days = [replace(DONE, digest=f"{at:010d}", at=f"2026-03-{at + 1:02d}T00:00:00+00:00") for at in range(MOST + 4)]

    def work(mine: list[Rehearsed]) -> None:
        own = open_client(registry.tracking_uri)
        for each in mine:
            mark(own, name, "1", each)

    threads = [threading.Thread(target=work, args=(days[part::3],)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rehearsals(tags(registry, name)) == (days[: -MOST - 1 : -1], [])


@pytest.mark.parametrize("text", ["", "Trained on May.", "a\n\n<!-- sim: end --> b", "x <!-- sim: rehearsal --> y"])
def test_an_annotation_changes_its_own_section_only(text: str) -> None:
    once = annotated(text, "Take ab. <!-- sim: end -->")
    twice = annotated(f"{once}\n\nA person's word.", "Take canary.")
    assert "Take ab." not in twice
    assert "Take canary." in twice
    assert twice.startswith(text)
    assert twice.endswith("A person's word.")
    if "<!--" not in text:
        assert by_people(once) == text


def test_registering_again_keeps_the_annotation(registry: MlflowClient) -> None:
    name = model(registry, "annotated", "plain")
    registry.update_model_version(name, "1", annotated("plain", "Take ab."))
    model(registry, name, "plain")
    assert registry.get_model_version(name, "1").description == annotated("plain", "Take ab.")
    model(registry, name, "better words")
    assert registry.get_model_version(name, "1").description == annotated("better words", "Take ab.")
