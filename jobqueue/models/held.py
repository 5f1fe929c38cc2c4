"""What being held is in a row: its time lies behind every calendar, the time that it had is kept beside it.

So nothing that looks for what is due has to know of it: the relay's index, its look ahead and a worker's
claim ask for `run_at` as ever. No job can be asked for at such a time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import Q

HELD_UNTIL: Final = datetime(9500, 1, 1, tzinfo=UTC)
"""The `run_at` of what is held; whatever enqueues or moves refuses times from the year 9000 on."""
IS_HELD: Final = Q(held_run_at__isnull=False)

_FINEST = timedelta(milliseconds=1)


def still_at(moment: datetime | None) -> Q:
    """Whether a job is still to run then, held or not; all are, where no time is given.

    Not to the microsecond: SQLite writes down its own clock in milliseconds, and compares times as texts.
    """
    if moment is None:
        return Q()
    near = (moment - _FINEST, moment + _FINEST)
    return Q(held_run_at__range=near) | Q(held_run_at__isnull=True, run_at__range=near)
