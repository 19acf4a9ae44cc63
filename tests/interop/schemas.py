"""Whether manifests fit the schemas of the programs that read them, where these are at hand: `SIM_CRDS` names their folder.

The schemas are those of custom resource definitions: `manifests/crds` of Argo Rollouts, `artifacts/flagger` of Flagger. They
are not part of this project.
"""

from __future__ import annotations

import copy
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

FOLDER = os.environ.get("SIM_CRDS", "")
WHY_NOT = "SIM_CRDS names no folder with the custom resource definitions of Argo Rollouts and Flagger"


@cache
def validators() -> dict[tuple[str, str], jsonschema.Draft202012Validator]:
    """By apiVersion and kind."""
    found = {}
    for file in sorted(Path(FOLDER).rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if not isinstance(document, dict) or document.get("kind") != "CustomResourceDefinition":
                continue
            spec = document["spec"]
            for version in spec["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {}}
                name = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                found[name] = jsonschema.Draft202012Validator(schema)
    return found


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, but for fields that it does not know: a cluster would drop them without a word, so here they are wrong."""
    found = copy.deepcopy(schema)
    stack = [found]
    while stack:
        part = stack.pop()
        if "properties" in part and "additionalProperties" not in part and not part.get("x-kubernetes-preserve-unknown-fields"):
            part["additionalProperties"] = False
        stack += [each for each in part.get("properties", {}).values() if isinstance(each, dict)]
        stack += [part[key] for key in ("items", "additionalProperties") if isinstance(part.get(key), dict)]
    return found


def problems(manifest: str) -> list[str]:
    """What is wrong with the documents of a manifest by the schemas; nothing where there are none, or where none fits."""
    found = []
    for document in yaml.safe_load_all(manifest) if FOLDER else ():
        validator = validators().get((document.get("apiVersion", ""), document.get("kind", "")))
        if validator is not None:
            errors = validator.iter_errors(document)
            found += [f"{document['kind']} {'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
    return found
