"""Times, states and texts in words, as every face says them; plain texts, nothing of HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils import timezone
from django.utils.formats import date_format, get_format
from django.utils.translation import gettext

from jobqueue import masking
from jobqueue.masking import without_turns
from jobqueue.models import Job

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_UNIT_FROM = 2
_BETWEEN = re.compile(r"[\s,.’']")
_MOST_SECONDS_WITH_TENTHS = 10
_LEAST_ROUNDED_TO_A_THOUSAND = 999.5


def span(length: timedelta) -> str:
    """A length of time in its largest sensible unit: `4 s`, `90 s`, `12 min`, `3 h`, `5 d`."""
    seconds = abs(length.total_seconds())
    for size, unit in _UNITS:
        if seconds >= _UNIT_FROM * size:
            return _in_language(f"{seconds // size:,.0f} {unit}")
    return f"{seconds:.0f} s"


def exact_span(length: timedelta) -> str:
    """For how long something ran or waited: `20 ms`, `4.2 s`, `90 s`, `2.88 min`; nothing is cut off."""
    seconds = abs(length.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds >= _UNIT_FROM * _UNITS[-1][0]:
        return rough_span(seconds)
    return _in_language(f"{seconds:.1f} s") if seconds < _MOST_SECONDS_WITH_TENTHS else span(length)


def rough_span(seconds: float | None) -> str:
    """A length of time in three figures, as charts and their tables show it: `4 ms`, `1.5 s`, `12.5 min`."""
    if seconds is None:
        return "–"
    for size, unit in (*_UNITS, (1, "s")):
        if seconds >= size * (_UNIT_FROM if size > 1 else 1):
            return f"{_three_figures(seconds / size)} {unit}"
    return f"{_three_figures(seconds * 1000)} ms"


def _three_figures(number: float) -> str:
    # `.3g` writes a thousand as 1e+03.
    return _in_language(f"{number:.3g}" if number < _LEAST_ROUNDED_TO_A_THOUSAND else f"{number:,.0f}")


def relative(moment: datetime, now: datetime) -> str:
    """How far a moment is from now: `in 3 h`, `2 min ago`, `now`."""
    distance = moment - now
    if abs(distance) < timedelta(seconds=1):
        return gettext("now")
    text = gettext("in %(span)s") if distance > timedelta(0) else gettext("%(span)s ago")
    return text % {"span": span(distance)}


def absolute(moment: datetime) -> str:
    """A moment in the current time zone, to the second."""
    # At the ends of the calendar not every zone has the moment.
    with suppress(OverflowError, ValueError):
        moment = timezone.localtime(moment)
    # Django leaves "T" empty in the hour that comes twice where clocks are put back.
    zone = moment.tzname() or date_format(moment, "T")
    return f"{date_format(moment, 'Y-m-d H:i:s')} {zone}"


def grouped(number: int | Decimal) -> str:
    """`18,240`, or `18.240` where the language of the page writes it so."""
    return grouping()(number)


def grouping() -> Callable[[int | Decimal], str]:
    """What writes numbers like `grouped`: for thousands of them the language is asked once."""
    signs = _signs()
    return lambda number: f"{number:,}".translate(signs)


def _in_language(text: str) -> str:
    """What English writes with commas between thousands and a point before decimals, as the page does."""
    return text.translate(_signs())


def _signs() -> dict[int, str]:
    between, before_decimals = get_format("THOUSAND_SEPARATOR"), get_format("DECIMAL_SEPARATOR")
    return {} if between == "," else {ord(","): str(between), ord("."): str(before_decimals)}


def typed_number(text: str) -> str:
    """A number as somebody typed it, without what stands between its groups: `18,240` is `18240`."""
    return _BETWEEN.sub("", text)


def state_word(job: Job, now: datetime, *, is_stuck: bool = False) -> str:
    """The job's state in the words of the pages: also delayed, held, stuck, skipped, which are no states."""
    if is_stuck:
        return "stuck"
    if job.state == Job.State.WAITING and job.held_run_at is not None:
        return "held"
    if job.state == Job.State.WAITING and job.run_at > now:
        return "delayed"
    return "skipped" if job.is_skipped else job.state


def carried(text: str) -> str:
    """`text` as an answer can carry it: a payload may hold half of a character (a lone surrogate)."""
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """`text` as a page can show it: `carried`, and nothing in it turns round what stands beside it."""
    return without_turns(carried(text))


def mask_addresses(text: str) -> str:
    """`text` without the e-mail addresses in it, in the language of who looks."""
    return masking.mask_addresses(text, gettext("(address)"))


def mask_text(text: str) -> str:
    """`text` for who may not read payloads: without addresses, and what a search looked for in payloads."""
    return mask_addresses(masking.mask_searched(text))


def mask_address(address: str) -> str:
    """Enough of one address to recognise it by, in the language of who looks."""
    return masking.mask_address(address, gettext("%(begin)s… at %(domain)s"))
