"""At most how many jobs a second a bulk action takes: a field of every form that begins one."""

from __future__ import annotations

import re

from django.http import HttpRequest
from django.utils.translation import gettext

from jobqueue.operating.bulk_plans import MOST_PER_SECOND

_RATE = re.compile(r"[0-9]{1,9}")
_LONGEST_SHOWN = 9


def entered_rate(request: HttpRequest) -> str:
    """What the field is to show again."""
    return request.POST.get("per_second", "")[:_LONGEST_SHOWN]


def trouble_with_rate(request: HttpRequest) -> str:
    """What is wrong with what was entered; empty if nothing is."""
    text = _entered(request)
    if not text or (_RATE.fullmatch(text) and 1 <= int(text) <= MOST_PER_SECOND):
        return ""
    told = gettext("At most a second: a whole number from 1 to %(most)s, or nothing.")
    return told % {"most": MOST_PER_SECOND}


def rate_of(request: HttpRequest) -> int | None:
    """What was entered, where nothing is wrong with it; None is as fast as it goes."""
    text = _entered(request)
    return int(text) if text else None


def _entered(request: HttpRequest) -> str:
    return request.POST.get("per_second", "").strip()
