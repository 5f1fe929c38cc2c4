"""What is said to change a job: why and when, and with which payload it is copied."""

from __future__ import annotations

from rest_framework import serializers

from jobqueue.api.bodies import AwareMoment, CalendarMoment, Strict, Whole, optional_reason
from jobqueue.operating.stops import LONGEST_STOP_REASON

_MOST_COPIES = 2**31


class Stop(Strict):
    """Why a running job is to end."""

    reason = optional_reason("Stands in its row and its history.", LONGEST_STOP_REASON)


class Hold(Strict):
    """Why a job is held or released."""

    reason = optional_reason("Stands in its history, and while it is held in its row.")


class Move(Strict):
    """To which time a delayed job is moved, and why."""

    run_at = AwareMoment(
        help_text="A time ahead, with its zone; not the one that it has (409, `already_at_that_time`)."
    )
    seen = CalendarMoment(
        required=False,
        help_text="`run_at` of the job as it was read: if it has another by now, nothing is done (409,"
        " `moved_meanwhile`). Without it the last of several who move it wins.",
    )
    reason = optional_reason("Stands in its history.")


class Copy(Strict):
    """What a copy of a job has of its own; all of it may be left out."""

    payload = serializers.DictField(
        required=False, help_text="In place of that of the job; takes the permission to read payloads."
    )
    run_at = AwareMoment(required=False, help_text="A time ahead, with its zone; without it at once.")
    copies_seen = Whole(
        required=False,
        min_value=0,
        max_value=_MOST_COPIES,
        help_text="`copies` of the job as it was read: if there are more by now, none is made.",
    )
    reason = optional_reason("Stands in the history of both.")
