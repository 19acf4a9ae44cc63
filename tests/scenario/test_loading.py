"""Scenario files: what a person who made a mistake is told, and where; and what hostile files cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Discriminator, Field, Tag, field_validator, model_validator

from sim.errors import InputError, Problem
from sim.scenario import plain_yaml
from sim.scenario.loading import (
    Document,
    Place,
    format_path,
    load,
    parse_path,
    parse_yaml,
    read_yaml,
    validate,
)
from sim.units import Duration, Rate, Share


class Strict(BaseModel, extra="forbid", frozen=True):
    pass


class Step(Strict):
    weight: Share
    bake: Duration = 60.0


class Canary(Strict):
    kind: Literal["canary"]
    steps: list[Step] = Field(min_length=1)


class Ab(Strict):
    kind: Literal["ab"]
    split: list[Share]
    alpha: Share = Field(0.05, gt=0)


class Stages(Strict):
    kind: Literal["stages"]
    stages: list[str | AnyPolicy]
    name: str


class Hold(Strict):
    kind: Literal["hold"]
    off: bool = Field(False, alias="on")


AnyPolicy = Annotated[Canary | Ab | Stages | Hold, Field(discriminator="kind")]


class Center(Strict):
    mean: float
    sd: float

    @model_validator(mode="after")
    def _positive(self) -> Center:
        if self.sd <= 0:
            raise ValueError(f"sd must be positive; got {self.sd:g}")
        return self


class Normal(Strict):
    normal: Center


class Fixed(Strict):
    fixed: float


def _only_key(value: Any) -> str | None:
    return next(iter(value), None) if isinstance(value, dict) and len(value) == 1 else None


Prior = Annotated[Annotated[Normal, Tag("normal")] | Annotated[Fixed, Tag("fixed")], Discriminator(_only_key)]


class Traffic(Strict):
    rate: Rate
    start: str = "00:00"


class File(Strict):
    name: str
    engine: Literal["auto", "aggregate", "compiled"] = "auto"
    replications: int = Field(100, ge=1)
    traffic: Traffic | None = None
    truth: dict[str, Prior] = {}
    policies: list[AnyPolicy] = []
    limit: Share | Literal["none"] = "none"

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name == "taken":
            raise InputError([Problem("is taken", path="name")])
        return name


def problems(text: str, model: type[BaseModel] = File) -> list[str]:
    with pytest.raises(InputError) as caught:
        validate(parse_yaml(text, "f.yaml"), model)
    return [str(problem) for problem in caught.value.problems]


def syntax(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_every_error_of_a_file_is_reported_at_once_in_the_order_of_lines() -> None:
    text = """\
name: 5
engine: agregate
replications: 0
traffic:
  rat: 40/s
policies:
  - {kind: canary, steps: [{weigth: 10%}]}
  - {kind: abb}
  - {split: [50%]}
  - {kind: ab, split: [50%, 150%], alpha: 0%}
  - hold
"""
    assert problems(text) == [
        "f.yaml:1:7 name: must be text; got 5; put it in quotes",
        "f.yaml:2:9 engine: must be one of auto, aggregate, compiled; got 'agregate'; did you mean 'aggregate'?",
        "f.yaml:3:15 replications: must be at least 1; got 0",
        "f.yaml:4:1 traffic.rate: is required",
        "f.yaml:5:3 traffic.rat: unknown key 'rat'; did you mean 'rate'?",
        "f.yaml:7:28 policies[0].steps[0].weight: is required",
        "f.yaml:7:29 policies[0].steps[0].weigth: unknown key 'weigth'; did you mean 'weight'?",
        "f.yaml:8:12 policies[1].kind: must be one of canary, ab, stages, hold; got 'abb'; did you mean 'ab'?",
        "f.yaml:9:5 policies[2].kind: is required: one of canary, ab, stages, hold",
        "f.yaml:10:29 policies[3].split[1]: must be a share from 0% to 100%, such as 10% or 0.1; got '150%'",
        "f.yaml:10:43 policies[3].alpha: must be above 0; got '0%'",
        "f.yaml:11:5 policies[4]: must be a mapping (key: value); got 'hold'",
    ]


def test_a_tag_that_is_also_a_key_does_not_confuse_the_path() -> None:
    assert problems("name: x\npolicies: [{kind: stages, stages: []}]") == ["f.yaml:2:12 policies[0].name: is required"]


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        ("{norml: {}}", ["f.yaml:2:13 truth.a.norml: unknown key 'norml'; did you mean 'normal'?"]),
        ("{zzz: 1}", ["f.yaml:2:13 truth.a.zzz: unknown key 'zzz'; allowed: normal, fixed"]),
        (
            "{normal: 1, fixed: 2}",
            ["f.yaml:2:12 truth.a: must have exactly one key, one of normal, fixed; got the keys normal, fixed"],
        ),
        ("{}", ["f.yaml:2:12 truth.a: must have exactly one key, one of normal, fixed; got none"]),
        ("{normal: {mean: 0}}", ["f.yaml:2:21 truth.a.normal.sd: is required"]),
        ("{normal: {mean: 0, sd: -1}}", ["f.yaml:2:35 truth.a.normal.sd: must be positive; got -1"]),
        ("{normal: 3}", ["f.yaml:2:21 truth.a.normal: must be a mapping (key: value); got 3"]),
        ("{fixed: x}", ["f.yaml:2:20 truth.a.fixed: must be a number; got 'x'"]),
    ],
)
def test_single_key_mappings(prior: str, expected: list[str]) -> None:
    assert problems(f"name: x\ntruth: {{a: {prior}}}") == expected


def test_a_union_is_one_problem_about_the_branch_that_was_meant() -> None:
    assert problems("name: x\nlimit: 2") == [
        "f.yaml:2:8 limit: must be a share from 0% to 100%, such as 10% or 0.1, or none; got 2"
    ]
    nested = "name: x\npolicies: [{kind: stages, name: s, stages: [{kind: ab, alfa: 1, split: []}, 5, {kind: no}]}]"
    assert [line.split(": ", 1)[1] for line in problems(nested)] == [
        "unknown key 'alfa'; did you mean 'alpha'?",
        "must be text, or a mapping (key: value); got 5; put it in quotes",
        "must be one of canary, ab, stages, hold; got 'no'",
    ]


def test_unknown_keys_without_a_near_miss_list_what_is_allowed() -> None:
    assert problems("name: x\nzzz: 1")[0].endswith(
        "unknown key 'zzz'; allowed: engine, replications, traffic, truth, policies, limit"
    )
    assert problems("name: x\npolicies: [{kind: hold, zzz: 1}]")[0].endswith("allowed: on")


def test_an_input_error_of_a_validator_gets_its_line() -> None:
    assert problems("limit: none\nname: taken") == ["f.yaml:2:7 name: is taken"]


def test_true_is_no_number() -> None:
    class Part(Strict):
        share: float
        sure: bool
        word: str | float

    class Whole(Strict):
        parts: tuple[Part, ...]
        counts: dict[str, int]

    text = "parts:\n  - {share: true, sure: true, word: true}\ncounts: {a: 1, b: false}"
    assert problems(text, Whole) == [
        "f.yaml:2:13 parts[0].share: must be a number; got true",
        "f.yaml:2:37 parts[0].word: must be a number; got true",
        "f.yaml:3:19 counts.b: must be a number; got false",
    ]


def test_a_list_is_not_called_too_short_for_the_items_that_are_wrong() -> None:
    assert problems("name: x\npolicies: [{kind: canary, steps: [{weight: 200%}]}]")[0].startswith(
        "f.yaml:2:44 policies[0].steps[0].weight: must be a share"
    )
    assert problems("name: x\npolicies: [{kind: canary, steps: []}]") == [
        "f.yaml:2:34 policies[0].steps: must have 1 or more items; got 0"
    ]


def test_yaml_12_scalars_and_keys_stay_what_people_mean() -> None:
    text = "on: yes\n20: 20:00\nx: [off, 1e6, 0x1f, 0o17, 007, 1_000, ~, True, 2024-01-01, .5, '5', !!str 5]"
    assert parse_yaml(text, "f").data == {
        "on": "yes",
        "20": "20:00",
        "x": ["off", 1e6, 31, 15, 7, "1_000", None, True, "2024-01-01", 0.5, "5", "5"],
    }


def test_anchors_and_merge_keys() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {x: 9, z: 8}]}\nd: *a\n"
    document = parse_yaml(text, "f")
    assert document.data["b"] == {"x": 1, "y": 3}
    assert document.data["c"] == {"x": 1, "y": 2, "z": 8}
    assert document.data["d"] is not document.data["a"]
    assert document.mark(("b", "x")) == (1, 11)
    assert document.mark(("b", "y")) == (2, 16)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: 1\na: 2\nb: {c: 1, c: 2}",
            ["2:1 a: duplicate key 'a'; first given", "3:11 b.c: duplicate key 'c'"],
        ),
        ("a: b: c", ["1:5: unexpected ':'"]),
        ("a:\n\tb: 1", ["2:1: a tab cannot be used for indentation"]),
        ("a: [1\nb: 2", ["2:2: expected ',' or a closing bracket for the bracket opened on line 1"]),
        ('a: "x\nb: 3\n', ["3:1: the quote opened on line 1 is not closed"]),
        ("a: 'b' c", ["1:8: expected another key of the mapping that starts on line 1"]),
        ("a: *x", ["1:4: this alias has no anchor"]),
        ("a: @x", ["1:4: text cannot start with '@'; put it in quotes"]),
        ("a: 1\n---\nb: 2", ["2:1: must be a single YAML document"]),
        ("a: !!python/object/apply:os.getcwd []", ["1:4 a: tag '!!python/object/apply:os.getcwd' is not"]),
        ("a: !secret x", ["1:4 a: tag '!secret' is not supported"]),
        ("? [a]\n: 1", ["1:3: a key must be text"]),
        ("- 1", ["1:1: must be a mapping (key: value) at the top; got a list"]),
        (
            r'a: ["\0", {"b\e[31m": 1}]',
            ["1:5 a[0]: must be printable text; character '\\x00' is not", '1:12 a[1]["b\\u001b[31m"]'],
        ),
        (r'a: "\u202e"', ["1:4 a: must be printable text; character '\\u202e' is not"]),
        ("a: \u2066", ["1:4: must be printable text; character '\\u2066' is not"]),
        ("a: \x01", ["1:4: must be printable text; character '\\x01' is not"]),
        ("n: " + "9" * 401, ["1:4 n: must be a number of at most 400 digits"]),
        ("a: {<<: 5}", ["1:9 a: '<<' must name mappings; got 5"]),
        ("x: &x [*x]", ["1:4: an alias refers to what it is part of"]),
        ("x: &x {<<: *x}", ["1:4: an alias refers to what it is part of"]),
    ],
)
def test_broken_yaml_is_explained_where_it_is(text: str, expected: list[str]) -> None:
    found = syntax(text)
    assert len(found) == len(expected)
    for message, start in zip(found, expected, strict=True):
        assert message.startswith(f"f.yaml:{start}")


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_an_empty_file_is_called_empty(text: str) -> None:
    assert syntax(text) == ["f.yaml: is empty; a mapping (key: value) is needed"]


def _bomb(template: str, levels: int) -> str:
    return "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {template.replace('*', f'*a{i - 1}')}\n" for i in range(1, levels))


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (_bomb("[*,*,*,*,*,*,*,*,*,*]", 30), "100,000 values"),
        (_bomb("{<<: [*,*,*,*,*,*,*,*,*,*]}", 30), "100,000 values"),
        (_bomb("{y: *}", 100), "64 levels"),
        ("a: " + "[" * 1_000_000, "64 levels"),
        ("- a\n" * 900_000, "100,000 values"),
        ("x: " + "a" * 4_000_000, "at most 4 MB"),
    ],
)
def test_files_that_would_explode_are_refused(text: str, limit: str) -> None:
    (message,) = syntax(text)
    assert limit in message


def test_the_loader_without_libyaml_gives_the_same_data_and_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {name: vars(plain_yaml.Loader)[name] for name in ("descend_resolver", "ascend_resolver", "depth", "nodes")}
    resolvers = {"yaml_implicit_resolvers": plain_yaml.Loader.yaml_implicit_resolvers}
    text = "on: yes\na: &a {x: 1e3, y: [1, 20:00]}\nb: {<<: *a, z: 0x10}\n"
    fast = parse_yaml(text, "f")
    monkeypatch.setattr(plain_yaml, "Loader", type("Plain", (yaml.SafeLoader,), members | resolvers))
    assert parse_yaml(text, "f") == fast
    assert "64 levels" in syntax("[" * 10_000)[0]
    assert syntax("a:\n\tb: 1")[0].startswith("f.yaml:2:1: a tab cannot be used")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9")
    marked = tmp_path / "marked.yaml"
    marked.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2")
    for path, message in (
        (tmp_path / "absent.yaml", f"{tmp_path}/absent.yaml: no such file"),
        (tmp_path, f"{tmp_path}: is a directory, not a file"),
        (latin, f"{latin}:2:7: must be UTF-8 text; byte 0xe9 is not"),
        (Path("a\0b"), "null"),
    ):
        with pytest.raises(InputError) as caught:
            read_yaml(path)
        assert message in str(caught.value)
    assert read_yaml(marked).data == {"a": 1, "b": 2}


def test_checks_after_validation_get_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("name: x\ntraffic:\n  rate: 40/s\n")

    def check(file: File) -> Iterator[Problem]:
        assert file.traffic is not None
        yield Problem(f"is below 50/s, got {file.traffic.rate:g}", path="traffic.rate")
        yield Problem("needs a policy", path="policies[0]")

    with pytest.raises(InputError) as caught:
        load(path, File, check=check)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{path}:1:1 policies[0]: needs a policy",
        f"{path}:3:9 traffic.rate: is below 50/s, got 40",
    ]
    assert load(path, File).name == "x"


def test_a_problem_that_cannot_be_placed_still_names_the_file() -> None:
    document = parse_yaml("a: 1", "f.yaml")
    assert str(document.place(Problem("is odd", path="not [a path"))) == "f.yaml not [a path: is odd"
    placed = Problem("is odd", "a", "other.yaml", 7, 8)
    assert document.place(placed) == placed


@given(st.lists(st.integers(0, 10**6) | st.text(), max_size=6).map(tuple))
@example(("models", 1, "uri"))
@example(("", "a.b", "[0]", '"', "1", 0, "\n", "\\"))
def test_paths_survive_a_round_trip(place: Place) -> None:
    assert parse_path(format_path(place)) == place


@given(st.text() | st.from_regex(r'[a-z]{1,3}\["[^"]{0,8}"\]|[a-z]\[[0-9]{1,12}\]', fullmatch=True))
@example('traffic["\\q"]')
@example(f"models[{'9' * 5_000}].arm")
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        place = parse_path(text)
    except InputError:
        return
    assert parse_path(format_path(place)) == place


nested = st.recursive(
    st.integers() | st.booleans() | st.none() | st.from_regex(r"[a-z]{1,5}", fullmatch=True),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), inner, max_size=4)
    ),
    max_leaves=20,
)


def _places(data: object, place: Place = ()) -> Iterator[tuple[Place, object]]:
    yield place, data
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, child in children:
        yield from _places(child, (*place, part))


@given(st.dictionaries(st.sampled_from("pqrst"), nested, min_size=1), st.sampled_from([True, False, None]))
def test_marks_point_at_what_stands_there(data: dict[str, Any], flow: bool | None) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow, sort_keys=False)
    document: Document = parse_yaml(text, "f")
    lines = text.split("\n")
    for place, value in _places(document.data):
        line, column = document.mark(place)
        there = lines[line - 1][column - 1 :]
        if place and isinstance(place[-1], str):
            key_line, key_column = document.mark(place, key=True)
            assert lines[key_line - 1][key_column - 1 :].strip("'\"").startswith(place[-1])
        if isinstance(value, int) and not isinstance(value, bool):
            assert there.startswith(str(value))


@given(st.text() | st.text(alphabet="ab:-[]{}&*!<?|>'\"# \n\t%@,01.~"))
@example("a: !!int x")
@example("a: !!float {}")
@example("&a : *a")
@example("a: &a [*a]\n<<: *a")
@example("%TAG ! tag:x,2000:\n---\na: !b c")
@example("name: \ud800")
def test_no_text_raises_anything_but_input_errors(text: str) -> None:
    found: tuple[Problem, ...] = (Problem("none", file="f.yaml"),)
    try:
        validate(parse_yaml(text, "f.yaml"), File)
    except InputError as error:
        found = error.problems
    assert {problem.file for problem in found} == {"f.yaml"}


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["ab", "canary", "x", "10%"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "steps", "weight", "normal", "mean", "sd", "stages", "name", "on", "1"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional={name: json_like for name in File.model_fields}))
def test_every_wrong_shape_is_explained_at_a_place_that_exists(data: dict[str, Any]) -> None:
    document = parse_yaml(yaml.safe_dump(data), "f.yaml")
    found: tuple[Problem, ...] = ()
    try:
        validate(document, File)
    except InputError as error:
        found = error.problems
    for problem in found:
        place = parse_path(problem.path)
        here: Any = document.data
        for part in place[:-1] if problem.message.startswith("is required") else place:
            here = here[part]
        assert problem.line >= 1
