"""At most how many jobs a second a bulk action takes: a field of every form that begins one."""

from __future__ import annotations

import re

from django.http import HttpRequest
from django.utils.translation import gettext

from jobqueue.models.bulk import PACE
from jobqueue.operating.bulk_plans import MOST_PER_SECOND
from jobqueue.operating.words import grouped

_RATE = re.compile(r"[0-9]{1,9}")
_LONGEST_SHOWN = 9


def rate_field(request: HttpRequest) -> dict[str, str]:
    """What the field shows: what was entered, and the pace where nothing is."""
    return {"per_second": request.POST.get("per_second", "")[:_LONGEST_SHOWN], "pace": grouped(PACE)}


def trouble_with_rate(request: HttpRequest) -> str:
    """What is wrong with what was entered; empty if nothing is."""
    text = _entered(request)
    if not text or (_RATE.fullmatch(text) and 1 <= int(text) <= MOST_PER_SECOND):
        return ""
    told = gettext("At most a second: a whole number from 1 to %(most)s, or nothing.")
    return told % {"most": MOST_PER_SECOND}


def rate_of(request: HttpRequest) -> int | None:
    """What was entered, where nothing is wrong with it; None is the pace of actions without a rate."""
    text = _entered(request)
    return int(text) if text else None


def _entered(request: HttpRequest) -> str:
    return request.POST.get("per_second", "").strip()
