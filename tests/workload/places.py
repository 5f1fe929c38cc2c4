"""Finds the place of a function by its dotted name, to put something else there."""

from __future__ import annotations

import importlib
from typing import Any


def find(name: str) -> tuple[Any, str]:
    """The module or class that has the function, and the function's name in it."""
    *path, function = name.split(".")
    for length in range(len(path), 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(path[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in path[length:]:
            owner = getattr(owner, attribute)
        return owner, function
    raise ValueError(f"there is no {name}")
