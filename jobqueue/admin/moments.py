"""Moments as forms and addresses give them, and the zones in which a form takes them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

YEARS = range(1970, 9000)


def parse_moment(text: str, zone: tzinfo | None = None) -> datetime | None:
    """A moment as a form or an address gives it: in the zone, or in that of the page, unless it names one.

    None for what is no moment, and for an hour that the zone leaves out where its clocks are put forward.
    """
    try:
        moment = parse_datetime(text)
        if moment is not None and timezone.is_naive(moment):
            moment = _there(timezone.make_aware(moment, zone))
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and moment.year in YEARS else None


class NotOnce(ValueError):
    """The zone has that time not at all, or twice; says so to people."""


class IsLeftOut(NotOnce):
    """The zone does not have that time, for its clocks are put forward."""


class ComesTwice(NotOnce):
    """The zone has that time twice, for its clocks are put back; says as which moments."""


def typed_moment(text: str, zone: tzinfo | None = None, shown: datetime | None = None) -> datetime | None:
    """Like `parse_moment`, of a field that was filled with the moment `shown`: unchanged it is just that one.

    Raises ComesTwice for another one in the hour that comes twice: nobody can tell which of both is meant.
    Raises IsLeftOut for one that the zone does not have.
    """
    first = parse_moment(text, zone)
    if first is None and _is_left_out(text, zone):
        said = _("That time does not exist in the zone %(zone)s: its clocks are put forward then.")
        raise IsLeftOut(said % {"zone": zone or timezone.get_current_timezone_name()})
    if first is None or timezone.is_aware(parse_datetime(text) or first):
        return first
    if shown is not None and as_field(shown, zone) == as_field(first, zone):
        return shown
    second = first.replace(fold=1)
    if second.utcoffset() != first.utcoffset():
        text = _("In this zone that time comes twice: as %(first)s and as %(second)s.")
        raise ComesTwice(text % {"first": _in_both(first), "second": _in_both(second)})
    return first


def _is_left_out(text: str, zone: tzinfo | None) -> bool:
    try:
        moment = parse_datetime(text)
        if moment is None or timezone.is_aware(moment) or moment.year not in YEARS:
            return False
        return _there(timezone.make_aware(moment, zone)) is None
    except (ValueError, OverflowError):
        return False


def _in_both(moment: datetime) -> str:
    in_utc = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()} ({in_utc:%Y-%m-%d %H:%M:%S} UTC)"


def _there(moment: datetime) -> datetime | None:
    again = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return moment if again.replace(tzinfo=None) == moment.replace(tzinfo=None) else None


def as_field(moment: datetime, zone: tzinfo | None = None) -> str:
    """The moment as a field for a date and a time takes it, in the zone or in that of the page."""
    return f"{timezone.localtime(moment, zone):%Y-%m-%dT%H:%M:%S}"


def zones() -> list[str]:
    """The names of the zones that a form offers: the page's own, and UTC."""
    return list(dict.fromkeys([timezone.get_current_timezone_name(), "UTC"]))


def zone_named(name: str) -> tzinfo | None:
    """The zone of that name, if a form offers it; None for the page's own."""
    if name not in zones() or name == timezone.get_current_timezone_name():
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
