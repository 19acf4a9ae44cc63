"""The code that MLflow logs with a behaviour model (models-from-code); this program never runs it.

It imports nothing of ours, so that any MLflow server or notebook can load a behaviour model.
"""

from __future__ import annotations

from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class BehaviourModel(PythonModel):
    """Answers every row with how the version behaves: outcomes, latency, error rate as in its models file."""

    def predict(self, context: Any, model_input: list[Any], params: Any = None) -> list[dict[str, Any]]:
        """The behaviour, once per row of `model_input`."""
        return [dict(context.model_config["behaviour"])] * len(model_input)


set_model(BehaviourModel())
