"""When jobs failed, as pages ask for it: within the last while, or from one time to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.sql.clock import database_now

AGE, FROM, TO = "age", "from", "to"
AGES = {
    "quarter": (_("Last 15 minutes"), timedelta(minutes=15)),
    "hour": (_("Last hour"), timedelta(hours=1)),
    "two_hours": (_("Last 2 hours"), timedelta(hours=2)),
    "day": (_("Last 24 hours"), timedelta(days=1)),
    "week": (_("Last 7 days"), timedelta(days=7)),
    "month": (_("Last 30 days"), timedelta(days=30)),
}
OLDER = "older"
YEARS = range(1900, 2201)
"""At the ends of the calendar not every zone has the moment, and no job failed there."""
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class FailingTime:
    """From when to when jobs failed; `problem` says what of the question cannot be read."""

    begin: datetime | None = None
    end: datetime | None = None
    problem: str = ""


def failing_time(asked: Mapping[str, str], using: str, now: datetime | None = None) -> FailingTime:
    """What is asked for by the words of an address: `age`, `from` and `to`.

    Ages are told from `now`; without it, from what the database's clock shows.
    """
    begin = end = None
    problems = []
    age = asked.get(AGE, "")
    if age in AGES:
        begin = (now or database_now(using)) - AGES[age][1]
    elif age == OLDER:
        end = (now or database_now(using)) - AGES["month"][1]
    elif age:
        known = ", ".join([*AGES, OLDER])
        problems.append(gettext("age may be %(known)s, not %(text)s") % {"known": known, "text": _shown(age)})
    for name in (FROM, TO):
        if text := asked.get(name, "").strip():
            moment = _moment(text)
            if moment is None:
                problems.append(
                    gettext("%(name)s must be a time such as 2026-11-26T18:00, not %(text)s")
                    % {"name": name, "text": _shown(text)}
                )
            elif name == FROM:
                begin = max(begin, moment) if begin else moment
            else:
                end = min(end, moment) if end else moment
    if not problems and begin is not None and end is not None and begin >= end:
        problems.append(gettext("the time must begin before it ends (from before to, and both in the age)"))
    return FailingTime(begin, end, "; ".join(problems))


def length_of_age(asked: Mapping[str, str], end: str) -> timedelta | None:
    """How long ago the age that is asked for begins (`from`) or ends (`to`); None if no age says that."""
    age = asked.get(AGE, "")
    if age == OLDER:
        return AGES["month"][1] if end == TO else None
    return AGES[age][1] if end == FROM and age in AGES else None


def _moment(text: str) -> datetime | None:
    """A time in the current time zone, unless it names another; a date is its beginning."""
    try:
        moment = parse_datetime(text)
        if moment is None and (day := parse_date(text)):
            moment = datetime(day.year, day.month, day.day)
        if moment is None or moment.year not in YEARS:
            return None
        return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    except (ValueError, OverflowError):
        return None


def _shown(text: str) -> str:
    return text[:_LONGEST_SHOWN]
