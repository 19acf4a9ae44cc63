"""The store and the registry that the options of `sim models` name."""

from __future__ import annotations

import argparse
from typing import Any

from sim.errors import InputError, Problem


def client(options: argparse.Namespace) -> Any:
    """A client of the store and the registry. A store that is not there yet is made."""
    from sim.registry import store

    return store.client(*named(options))


def reader(options: argparse.Namespace) -> Any:
    """A client of what is there. Raises `InputError` where there is no registry yet, and makes none."""
    from sim.registry import store

    where = named(options)
    if store.absent(*where):
        shown = store.shown(store.addresses(*where).registry)
        raise InputError(
            [Problem(f"there is no registry at {shown} yet; `sim models register` makes one", path="--registry-uri")]
        )
    return store.client(*where)


def named(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """The tracking store and the registry: a registry that is named alone takes the runs of its versions too."""
    return options.tracking_uri or options.registry_uri, options.registry_uri
