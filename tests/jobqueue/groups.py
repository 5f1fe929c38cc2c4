"""What the groups of operators hold after all migrations: as they were made, and what that stood for."""

from __future__ import annotations

from importlib import import_module

MADE = import_module("jobqueue.migrations.0009_operators").GROUPS
FINER = import_module("jobqueue.migrations.0022_verbs_of_operators").FINER


def _now(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*names, *(finer for name in names for finer in FINER.get(name, ()))]))


GROUPS = {group: _now(names) for group, names in MADE.items()}
