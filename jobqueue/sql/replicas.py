"""Which aliases are only another way to read a database: replicas, read-only roles, tests' mirrors.

Told from the settings and the routers alone, without asking a database. What they do not tell, the database
does when a worker starts: `jobqueue.sql.refusals`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from django.apps import apps
from django.core.signals import setting_changed
from django.db import connections, router

# Django's documentation has a router that chooses a replica at random: of three, all are named by then.
_QUESTIONS = 100
_NO_DATABASE = "django.db.backends.dummy"
_SEARCH_PATH = re.compile(r"search_path\s*=\s*(\S+)")


class _Place(NamedTuple):
    """What tells one database from another, as far as settings do."""

    alias: str
    engine: str
    where: tuple[str, ...]
    mirror: str | None


def replicas() -> Mapping[str, str]:
    """The aliases that only read what another alias writes, each with that other alias."""
    return _replicas(tuple(_place_of(alias) for alias in connections))


def written_through(using: str) -> str:
    """The alias through which what is read through `using` is written: another one for a replica."""
    return using if len(connections.settings) == 1 else replicas().get(using, using)


def is_configured(using: str) -> bool:
    """Whether the alias names a database at all: `DATABASES["default"]` may be empty."""
    return bool(connections.settings[using]["ENGINE"] != _NO_DATABASE)


def _place_of(alias: str) -> _Place:
    settings = connections.settings[alias]
    return _Place(alias, settings["ENGINE"], _where(alias, settings), settings["TEST"]["MIRROR"])


def _where(alias: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    name = str(settings["NAME"] or "")
    if "sqlite3" not in settings["ENGINE"]:
        options = settings["OPTIONS"]
        # Whose schema it is, is told by the role, or by the search path.
        schema = _SEARCH_PATH.findall(str(options.get("options", "")))
        parts = (settings["HOST"] or "localhost", settings["PORT"], settings["USER"], options.get("service"))
        return (*(str(part or "") for part in parts), *schema, name)
    if name in ("", ":memory:"):
        return (alias,)
    return (name if name.startswith("file:") else str(Path(name).absolute()),)


@lru_cache(maxsize=8)
def _replicas(places: tuple[_Place, ...]) -> Mapping[str, str]:
    if len(places) == 1:
        return {}
    reads, written = _by_router()
    found = {place.alias: place.mirror for place in places if place.mirror}
    found |= {alias: written for alias in reads if written is not None}
    first: dict[tuple[str, ...], str] = {}
    # Of one database that has two aliases, the one that routers write to is kept, else the first.
    for place in sorted(places, key=lambda place: (place.alias != written, place.alias in found)):
        if place.engine == _NO_DATABASE:
            continue
        kept = first.setdefault((_kind(place.engine), *place.where), place.alias)
        if kept != place.alias:
            found[place.alias] = kept
    return found


def _kind(engine: str) -> str:
    """What wrappers of a backend have in common with it."""
    return engine.rpartition(".")[2]


def _by_router() -> tuple[set[str], str | None]:
    """The aliases that routers read jobs from and do not write them to, and the one they write them to."""
    job = apps.get_model("jobqueue", "Job")
    try:
        written = router.db_for_write(job)
        return {router.db_for_read(job) for _ in range(_QUESTIONS)} - {written}, written
    except Exception:
        # A router that answers only within a request, say: it knows no replica that we could leave out.
        return set(), None


def _forget(*, setting: str, **_: Any) -> None:
    if setting in ("DATABASES", "DATABASE_ROUTERS"):
        _replicas.cache_clear()


setting_changed.connect(_forget, dispatch_uid="jobqueue.sql.replicas")
