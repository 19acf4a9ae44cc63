"""Replaying real models: what each row earns, and every way in which data and model can fail to match."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import ModelSignature, infer_signature
from mlflow.types.schema import ColSpec, Schema, TensorSpec

from sim.errors import InputError
from sim.registry import replay as module
from sim.registry.behaviour import ModelsFile
from sim.registry.data import Data, DataSpec, digest_frame, load_data
from sim.registry.demo import DATA
from sim.registry.publish import KIND, Publication, Registered, publish
from sim.registry.register import register
from sim.registry.replay import replay
from sim.registry.store import client
from sim.registry.versions import Version, resolve
from sim.scenario.schema import Payoff, Within

FRAME = pd.DataFrame(
    {
        "x": [1.0, 2.0, 3.0, 4.0],
        "value": [10.0, 20.0, 30.0, 40.0],
        "value_0": [1.0, 2.0, 3.0, 4.0],
        "value_1": [5.0, 6.0, 7.0, 8.0],
        "target": [0, 1, 1, 0],
    }
)
NUMBERS = count()


class Answers(mlflow.pyfunc.PythonModel):
    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # hints change what MLflow does
        return self.answer(model_input)


Make = Callable[..., Version]


@pytest.fixture
def make(registry: MlflowClient) -> Make:
    def made(answer: Callable[[Any], Any], signature: ModelSignature | None = None) -> Version:
        def save(path: str, model: Any) -> None:
            mlflow.pyfunc.save_model(
                path,
                python_model=Answers(answer),
                signature=signature,
                pip_requirements=["mlflow"],
                mlflow_model=model,
            )

        name = f"answers-{next(NUMBERS)}"
        tags = {KIND: "replay", "sim.latency": '{"levels":[0,1],"values_s":[0.001,0.002]}'}
        publish(registry, name, Publication(save, tags))
        return resolve([(name, f"models:/{name}/1")], registry)[0]

    return made


def data_of(frame: pd.DataFrame) -> Data:
    return Data(frame.drop(columns="target"), frame["target"], frame, digest_frame(frame), len(frame), "rows.csv")


def test_rewards_are_what_the_rules_say(registry: MlflowClient, make: Make) -> None:
    zeros, truth = make(lambda x: np.zeros(len(x), dtype=int)), make(lambda x: np.array([0, 1, 1, 0]))
    rules = {
        "right": "correct",
        "earned": Payoff(column="value"),
        "picked": Payoff(column="value_{prediction}"),
    }
    table = replay([zeros, truth], data_of(FRAME), rules, registry)
    assert table.arms == (zeros.arm, truth.arm)
    assert table.rewards["right"].T.tolist() == [[1, 0, 0, 1], [1, 1, 1, 1]]
    assert table.rewards["earned"].T.tolist() == [[10, 0, 0, 40], [10, 20, 30, 40]]
    assert table.rewards["picked"].T.tolist() == [[1, 2, 3, 4], [1, 6, 7, 4]]
    assert table.agreement.T.tolist() == [[True] * 4, [True, False, False, True]]


def test_the_demo_earns_its_live_scores(registry: MlflowClient, digits: list[Registered]) -> None:
    versions = resolve([(done.alias or "", done.uri) for done in digits], registry)
    table = replay(versions, load_data(DATA), {"right": "correct"}, registry)
    scores = [float(version.tags["sim.live_score"]) for version in versions]
    np.testing.assert_allclose(table.rewards["right"].mean(axis=0), scores, atol=5e-5)


def test_text_labels_are_compared_as_texts(registry: MlflowClient, make: Make) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "target": ["cat", "dog"]})
    model = make(lambda x: pd.DataFrame({"label": ["cat"] * len(x)}))
    assert replay([model], data_of(frame), {"r": "correct"}, registry).rewards["r"].ravel().tolist() == [1, 0]


def test_predictions_are_kept_and_used_again(
    registry: MlflowClient, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(lambda x: np.array(["0", "1"])[(x["x"] > 2).astype(int)].astype(int))
    first = replay([model], data_of(FRAME), {"r": "correct"}, registry, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(module, "load", lambda *_: pytest.fail("the model was run again"))
        again = replay([model], data_of(FRAME), {"r": "correct"}, registry, tmp_path)
    assert again.digest == first.digest
    other = replay([model], data_of(FRAME.assign(x=5.0)), {"r": "correct"}, registry, tmp_path)
    assert other.digest != first.digest


def test_a_version_that_was_registered_again_is_scored_again(tmp_path: Path) -> None:
    store = client(f"sqlite:///{tmp_path / 'mlflow.db'}")

    def register_by_hand(answer: int) -> Version:
        path = tmp_path / f"model-{answer}"
        signature = infer_signature(FRAME[["x"]])
        model = Answers(lambda x: np.full(len(x), answer))
        mlflow.pyfunc.save_model(str(path), python_model=model, signature=signature, pip_requirements=["mlflow"])
        store.create_registered_model("mine")
        tags = {KIND: "replay", "sim.latency": '{"levels":[0,1],"values_s":[0.001,0.002]}'}
        store.create_model_version("mine", path.as_uri(), tags=tags)
        return resolve([("mine", "models:/mine/1")], store)[0]

    def earned(version: Version) -> list[float]:
        found = replay([version], data_of(FRAME), {"r": "correct"}, store, tmp_path / "cache").rewards["r"]
        return [float(each) for each in found.ravel()]

    assert earned(register_by_hand(0)) == [1, 0, 0, 1]
    store.delete_registered_model("mine")
    assert earned(register_by_hand(1)) == [0, 1, 1, 0]


def test_a_damaged_cache_is_made_again(registry: MlflowClient, make: Make, tmp_path: Path) -> None:
    model = make(lambda x: np.zeros(len(x)))
    first = replay([model], data_of(FRAME), {"r": "correct"}, registry, tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:20])
    assert replay([model], data_of(FRAME), {"r": "correct"}, registry, tmp_path).digest == first.digest
    assert [file.name for file in tmp_path.iterdir()] == [kept.name]


def test_whole_numbers_of_a_csv_file_fit_a_signature_of_floats(registry: MlflowClient, make: Make, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,target\n1,1\n2,2\n")
    model = make(lambda x: x["x"].astype(int), infer_signature(pd.DataFrame({"x": [0.5]})))
    data = load_data(DataSpec(file="rows.csv"), tmp_path)
    assert replay([model], data, {"r": "correct"}, registry).rewards["r"].tolist() == [[1], [1]]


def test_payoffs_are_no_features_of_a_model_without_a_signature(registry: MlflowClient, make: Make) -> None:
    model = make(lambda x: np.full(len(x), x.shape[1] - 1))
    rules = {"r": Payoff(column="value"), "p": Payoff(column="value_{prediction}")}
    table = replay([model], data_of(FRAME), rules, registry)
    assert table.rewards["p"].ravel().tolist() == [1, 2, 3, 4]


def test_a_payoff_may_be_a_feature_too(registry: MlflowClient, make: Make) -> None:
    model = make(lambda x: (x["value"] > 25).astype(int), infer_signature(FRAME[["value"]]))
    table = replay([model], data_of(FRAME), {"r": Payoff(column="value")}, registry)
    assert table.rewards["r"].ravel().tolist() == [10, 0, 30, 0]


def test_a_tensor_gets_an_array(registry: MlflowClient, make: Make) -> None:
    def signature(columns: int) -> ModelSignature:
        return ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, columns))]))

    frame = FRAME[["x", "value", "target"]]
    model = make(lambda x: (x[:, 0] > 2).astype(int), signature(2))
    assert replay([model], data_of(frame), {"r": "correct"}, registry).rewards["r"].sum() == 2
    with pytest.raises(InputError, match="takes 3 columns; the data has 2 besides the target"):
        replay([make(lambda x: x[:, 0], signature(3))], data_of(frame), {"r": "correct"}, registry)


def test_a_missing_column_is_named_with_what_there_is(registry: MlflowClient, digits: list[Registered]) -> None:
    versions = resolve([("champion", digits[0].uri)], registry)
    with pytest.raises(InputError, match=r"lacks 'pixel_0_0'.* and 59 more.*it has 'x', 'value'") as caught:
        replay(versions, data_of(FRAME), {"r": "correct"}, registry)
    assert caught.value.problems[0].path == "data"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: np.zeros((len(x), 2)), r"one value per row, \(4,\); got shape \(4, 2\)"),
        (lambda x: np.zeros(len(x) - 1), "one value per row"),
        (
            lambda x: np.full(len(x), 0.73),
            "such as 0.73, none of which is a label of the target 'target': 0, 1",
        ),
        (lambda x: np.array(["0", "1", "1", "0"]), "such as '0', none of which is a label"),
        (lambda x: np.full(len(x), np.nan), "NaN in 4 of 4 rows"),
        (lambda x: 1 / 0, "cannot predict: ZeroDivisionError"),
        (lambda x: np.array([1.0, np.inf, 1.0, 0.0]), "predicts inf in 1 of 4 rows, first in row 2"),
        (lambda x: [{"a": 1}] * len(x), r"must predict numbers, texts or booleans; got \{'a': 1\} in row 1"),
        (
            lambda x: pd.Series([1.0, None, 1.0, 0.0], dtype="Float64"),
            "predicts NaN in 1 of 4 rows, first in row 2",
        ),
        (lambda x: ["no", "yes", None, "no"], "predicts None in row 3, and texts in others"),
        # NumPy would make the text '1' of it.
        (lambda x: ["no", 1, "yes", "no"], "predicts 1 in row 2, and texts in others"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(
    registry: MlflowClient, make: Make, answer: Callable[[Any], Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        replay([make(answer)], data_of(FRAME), {"r": "correct"}, registry)


def test_errors_are_how_far_an_answer_is_from_the_target(registry: MlflowClient, make: Make) -> None:
    frame = FRAME.assign(target=[10.0, 20.0, 30.0, 40.0])
    near, exact = make(lambda x: np.array([10.1, 18.0, 30.2, 40.0])), make(lambda x: np.array([10, 20, 30, 40]))
    rules = {"mae": "absolute_error", "mse": "squared_error", "near": Within(within=0.1)}
    table = replay([near, exact], data_of(frame), rules, registry)
    np.testing.assert_allclose(table.rewards["mae"].T, [[0.1, 2, 0.2, 0], [0] * 4])
    np.testing.assert_allclose(table.rewards["mse"].T, [[0.01, 4, 0.04, 0], [0] * 4])
    assert table.rewards["near"].T.tolist() == [[1, 0, 0, 1], [1] * 4]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: ["a"] * len(x), "predicts 'a', of which m cannot say how far it is from a number"),
        (lambda x: np.full(len(x), 1e200), r"is off by 1e\+200, too much for m"),
    ],
)
def test_answers_without_an_error_are_refused(
    registry: MlflowClient, make: Make, answer: Callable[[Any], Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        replay([make(answer)], data_of(FRAME), {"m": "squared_error"}, registry)


OPTIONAL = ModelSignature(Schema([ColSpec("double", "x"), ColSpec("double", "age", required=False)]))
WHOLE = ModelSignature(Schema([ColSpec("long", "x")]))


@pytest.mark.parametrize(
    ("signature", "frame", "said"),
    [
        (OPTIONAL, FRAME, r"cannot predict: KeyError: 'age'; the data lacks 'age', which its signature calls optional"),
        (WHOLE, FRAME.assign(x=[1, None, 2, 3]), "cannot predict: MlflowException: Incompatible input types for column x"),
    ],
)
def test_what_the_rows_lack_is_told_beside_the_reason_of_the_model(
    registry: MlflowClient, make: Make, signature: ModelSignature, frame: pd.DataFrame, said: str
) -> None:
    model = make(lambda x: x["age"] if "age" in signature.inputs.input_names() else x["x"], signature)
    with pytest.raises(InputError, match=said):
        replay([model], data_of(frame), {"r": "correct"}, registry)


@pytest.mark.parametrize(
    ("payoff", "change", "said"),
    [
        ("price", {}, "has no column 'price'; it has x, value"),
        ("price_{prediction}", {}, "has no column 'price_{prediction}'"),
        ("value", {"value": [1.0, np.nan, 2.0, 3.0]}, "is not in 1 of 4 rows, first in row 2"),
        ("value", {"value": [1.0, np.inf, 2.0, 3.0]}, "must be finite"),
        ("value", {"value": list("abcd")}, "must be numbers; column 'value' of rows.csv holds object"),
        ("value_{prediction}", {"value_1": list("abcd")}, "must be numbers"),
    ],
)
def test_payoffs_that_are_none_are_refused(
    registry: MlflowClient, make: Make, payoff: str, change: dict[str, Any], said: str
) -> None:
    model = make(lambda x: np.array([0, 1, 1, 0]))
    with pytest.raises(InputError, match=said) as caught:
        replay([model], data_of(FRAME.assign(**change)), {"r": Payoff(column=payoff)}, registry)
    assert caught.value.problems[0].path == "metrics.r.reward.column"


def test_a_prediction_without_a_payoff_column_is_named(registry: MlflowClient, make: Make) -> None:
    with pytest.raises(InputError, match="'value_7'"):
        replay(
            [make(lambda x: np.full(len(x), 7.0))],
            data_of(FRAME),
            {"r": Payoff(column="value_{prediction}")},
            registry,
        )


def test_a_behaviour_model_cannot_be_replayed(registry: MlflowClient) -> None:
    version = {"outcomes": {"sale": {"bernoulli": "5%"}}, "latency": {"constant": "1ms"}}
    register(ModelsFile.model_validate({"model": "no-replay", "versions": [version]}), registry)
    versions = resolve([("champion", "models:/no-replay/1")], registry)
    with pytest.raises(InputError, match="is a behaviour model") as caught:
        replay(versions, data_of(FRAME), {"r": "correct"}, registry)
    assert caught.value.problems[0].path == "models[0].uri"


CHANCE = Payoff.model_validate({"column": "value", "as": "chance"})
ASKED = r"the pay-offs in 'value' lie between 0.1 and 0.4: say what they are.*`as: chance`.*`as: amount`"


@pytest.mark.parametrize(
    ("rule", "values", "said", "path"),
    [
        (Payoff(column="value"), [0.1, 0.2, 0.3, 0.4], ASKED, "reward"),
        (Payoff(column="value_{prediction}"), [1.0, 2.0, 3.0, 4.0], r"'value_\{prediction\}' lie between 0 and 0.8", "reward"),
        (
            Payoff.model_validate({"column": "value", "as": "chance"}),
            [0.1, 0.2, 7.0, 0.4],
            "between 0 and 1; 'value' holds 7",
            "reward.as",
        ),
        (Payoff.model_validate({"column": "value", "as": "chance"}), [0.1, -0.2, 1.0, 0.4], "'value' holds -0.2", "reward.as"),
    ],
)
def test_payoffs_that_may_be_chances_are_asked_about(
    registry: MlflowClient, make: Make, rule: Payoff, values: list[float], said: str, path: str
) -> None:
    frame = FRAME.assign(value=values, value_0=[0.0, 0.2, 0.8, 0.0], value_1=0.5)
    with pytest.raises(InputError, match=said) as caught:
        replay([make(lambda x: np.array([0, 1, 1, 0]))], data_of(frame), {"r": rule}, registry)
    assert caught.value.problems[0].path == f"metrics.r.{path}"


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ({"column": "value", "as": "chance"}, [0.1, 0.2, 0.3, 0.4]),
        ({"column": "value", "as": "amount"}, [0.1, 0.2, 0.3, 0.4]),
        # Nobody needs to ask what a one is, or an amount of 12.
        ({"column": "value"}, [0.0, 1.0, 1.0, 0.0]),
        ({"column": "value"}, [0.5, 12.0, 0.0, 0.0]),
    ],
)
def test_payoffs_that_are_clear_are_taken(
    registry: MlflowClient, make: Make, rule: dict[str, str], values: list[float]
) -> None:
    right = make(lambda x: np.array([0, 1, 1, 0]))
    rules = {"r": Payoff.model_validate(rule)}
    assert replay([right], data_of(FRAME.assign(value=values)), rules, registry).rewards["r"].ravel().tolist() == values


def test_weights_are_no_features_of_a_model_without_a_signature(registry: MlflowClient, make: Make, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    data = load_data(DataSpec.model_validate({"file": "rows.csv", "shift": {"weights": "value"}}), tmp_path)
    table = replay([make(lambda x: np.full(len(x), x.shape[1] - 2))], data, {"r": "correct"}, registry)
    # x, value_0 and value_1 are left.
    assert table.rewards["r"].ravel().tolist() == [0, 1, 1, 0]
    assert table.weights is not None
    assert table.weights.tolist() == [10, 20, 30, 40]
