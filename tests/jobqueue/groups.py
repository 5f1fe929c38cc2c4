"""What the groups of operators hold after all migrations: as they were made, and what that stood for."""

from __future__ import annotations

from importlib import import_module

from jobqueue.operators import Finer, Groups

MADE = import_module("jobqueue.migrations.0009_operators").GROUPS
FINER = import_module("jobqueue.migrations.0022_verbs_of_operators").FINER


def _now(made: Groups, finer: Finer) -> Groups:
    return {
        group: [*dict.fromkeys([*names, *(one for name in names for one in finer.get(name, ()))])]
        for group, names in made.items()
    }


GROUPS = _now(MADE, FINER)
OF_MONEY = _now(
    import_module("settlements.migrations.0005_operators").GROUPS,
    import_module("settlements.migrations.0007_verbs_of_operators").FINER,
)
