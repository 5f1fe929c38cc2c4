"""What being held is in a row: its time lies behind every calendar, the time that it had is kept beside it.

So nothing that looks for what is due has to know of it: the relay's index, its look ahead and a worker's
claim ask for `run_at` as ever. No job can be asked for at such a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.db.models.functions import Cast, Now

HELD_UNTIL: Final = datetime(9500, 1, 1, tzinfo=UTC)
"""The `run_at` of what is held; whatever enqueues or moves refuses times from the year 9000 on."""
# PostgreSQL takes a bare NULL among times for a text.
_NEVER: Final = Cast(Value(None), DateTimeField())
IS_HELD: Final = Q(held_run_at__isnull=False)


def due_at(moment: datetime | None) -> dict[str, Any]:
    """The columns of a waiting row that becomes due at `moment`, or now; what is held keeps it for later."""
    when = Now() if moment is None else Value(moment, output_field=DateTimeField())
    published = Now() if moment is None else _NEVER
    return {
        "run_at": _unless_held(F("run_at"), when),
        "published_at": _unless_held(_NEVER, published),
        "held_run_at": _unless_held(when, _NEVER),
    }


def _unless_held(held: Any, otherwise: Any) -> Case:
    return Case(When(IS_HELD, then=held), default=otherwise, output_field=DateTimeField())
