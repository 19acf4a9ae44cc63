"""Register the behaviour models of a models file; registered versions are not registered again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.registry.annotation import by_people, kept
from sim.registry.behaviour import Behaviour, ModelsFile
from sim.registry.publish import BEHAVIOUR, DIGEST, KIND, Publication, Registered, point, publish, published
from sim.registry.store import reaching

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import Model


def register(file: ModelsFile, client: MlflowClient) -> list[Registered]:
    """Register each version of the file that the registry does not have yet, and move the aliases.

    A version is identified by the digest of its behaviour: comments, spelling (5% or 0.05), descriptions and aliases make no
    new version. Two equal versions in one file are two versions in the registry. Safe to run again after an interruption.
    Raises `InputError` if the store refuses the model's name, and `TrackingError` if the store cannot be reached.
    """
    known = published(client, file.model)
    done = []
    for spec in file.versions:
        digest = spec.behaviour.digest()
        created = not known.get(digest)
        if not created:
            version = known[digest].pop(0)
            with reaching(client):
                there = client.get_model_version(file.model, version).description or ""
                if by_people(there) != spec.description:
                    client.update_model_version(file.model, version, kept(spec.description, there))
        else:
            publication = Publication(
                save=_saver(spec.behaviour),
                tags={KIND: "behaviour", DIGEST: digest, BEHAVIOUR: json.dumps(spec.behaviour.to_dict())},
                description=spec.description,
            )
            version = publish(client, file.model, publication)
        point(client, file.model, spec.alias, version)
        done.append(Registered(file.model, version, spec.alias, digest, created))
    return done


def _saver(behaviour: Behaviour) -> Callable[[str, Model], None]:
    def save(path: str, model: Model) -> None:
        import mlflow
        import mlflow.pyfunc

        config: dict[str, Any] = {"behaviour": behaviour.to_dict()}
        mlflow.pyfunc.save_model(
            path,
            python_model=str(Path(__file__).with_name("behaviour_model.py")),
            model_config=config,
            # Without explicit requirements MLflow takes 2 s to infer them.
            pip_requirements=[f"mlflow=={mlflow.__version__}"],
            mlflow_model=model,
        )

    return save
