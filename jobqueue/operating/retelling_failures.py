"""What the queue itself writes down of runs that did not end by their own doing, as its reader says it.

What a processor raised stays as it was raised.
"""

from __future__ import annotations

import re

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jobqueue.exceptions import InvalidPayload, JobInterrupted, JobTimeout, UnknownProcessor

_ERRORS = {error.__name__ for error in (InvalidPayload, JobInterrupted, JobTimeout, UnknownProcessor)}
"""Errors whose texts are the queue's own, or an app's, where it is one of these."""
_OF_PAYLOADS: tuple[tuple[str, Promise], ...] = (
    (
        r"the payload has a NUL character, which the database cannot store",
        _("the payload has a NUL character, which the database cannot store"),
    ),
    (
        r"the payload has a lone surrogate, which is no valid text",
        _("the payload has a lone surrogate, which is no valid text"),
    ),
    (
        r"the payload is nested too deeply, or contains itself; allowed are (?P<levels>\d+) levels of .+",
        _("the payload is nested too deeply, or contains itself; allowed are %(levels)s levels"),
    ),
    (
        r"the payload has (?P<size>\d+) bytes, allowed are (?P<most>\d+); pass ids and look the rest up",
        _("the payload has %(size)s bytes, allowed are %(most)s; pass ids and look the rest up"),
    ),
    (
        r"the payload is no valid JSON: Out of range float values .+",
        _("the payload is no valid JSON: a number in it is infinite, or none"),
    ),
    (
        r"(?P<path>\S+) is (?P<value>\S+), which PostgreSQL gives back as another number; .+",
        _("%(path)s is %(value)s, which PostgreSQL gives back as another number; pass an integer or text"),
    ),
)
_OF_JSON: tuple[tuple[str, Promise], ...] = (
    (r"it is nested too deeply", _("it is nested too deeply")),
    (
        r"a number in it has more than (?P<most>\d+) digits",
        _("a number in it has more than %(most)s digits"),
    ),
    # What Python's json says.
    (r"Expecting value", _("a value is expected")),
    (r"Expecting property name enclosed in double quotes", _("a name in double quotes is expected")),
    (r"Expecting '(?P<sign>[:,])' delimiter", _("a “%(sign)s” is expected")),
    (r"Illegal trailing comma before end of (?:object|array)", _("the last comma is too many")),
    (r"Unterminated string starting at", _("a text has no end, which begins")),
    (r"Invalid control character at", _("a text has a control character")),
    (r"Invalid \\(?:u\w+ )?escape.*", _("a backslash has no such letter behind it")),
    (r"Extra data", _("something stands behind the end,")),
)
_TEXTS: tuple[tuple[str, Promise], ...] = (
    (r"worker (?P<worker>.+) is gone: no sign of life", _("worker %(worker)s is gone: no sign of life")),
    (
        r"executor (?P<number>\d+) of worker (?P<worker>.+) ended with code (?P<code>-?\d+)",
        _("executor %(number)s of worker %(worker)s ended with code %(code)s"),
    ),
    (
        r"ran past its time limit and could not be stopped",
        _("ran past its time limit and could not be stopped"),
    ),
    (
        r"was asked to stop and did not yield, so its process was ended",
        _("was asked to stop and did not yield, so its process was ended"),
    ),
    (
        r"the job ran longer than its limit of (?P<limit>\S+) seconds",
        _("the job ran longer than its limit of %(limit)s seconds"),
    ),
    (
        r"no worker knew this job for (?P<seconds>\d+) s \(UNKNOWN_PROCESSOR_TIMEOUT\): (?P<why>.+)",
        _("no worker knew this job for %(seconds)s s (UNKNOWN_PROCESSOR_TIMEOUT): %(why)s"),
    ),
    (
        r"handed on by a worker that does not know it: (?P<why>.+)",
        _("handed on by a worker that does not know it: %(why)s"),
    ),
    (r"there is no processor (?P<name>'.*')", _("there is no processor %(name)s")),
    (
        r"(?P<name>\S+) does not take this payload: (?P<refusal>.+)",
        _("%(name)s does not take this payload: %(refusal)s"),
    ),
    (
        r"missing a required (?:keyword-only )?argument: (?P<name>'.*?')\. It takes (?P<takes>.+)\.",
        _("the argument %(name)s is missing. It takes %(takes)s."),
    ),
    (
        r"got an unexpected keyword argument (?P<name>'.*?')\. It takes (?P<takes>.+)\.",
        _("there is no argument %(name)s. It takes %(takes)s."),
    ),
    *_OF_PAYLOADS,
    *_OF_JSON,
    (r"handed back: its worker stopped", _("handed back: its worker stopped")),
    (
        r"handed back: its process was ended for another job, which could not be stopped",
        _("handed back: its process was ended for another job, which could not be stopped"),
    ),
    (
        r"handed back: its worker did not hear of its claim",
        _("handed back: its worker did not hear of its claim"),
    ),
    (r"handed back: no thread got free", _("handed back: no thread got free")),
    (r"(?:failed|cleared) by an operator", _("failed by an operator")),
    (r"failed by (?P<who>[^:]+): (?P<said>.+)", _("failed by %(who)s: %(said)s")),
    (r"failed by (?P<who>[^:]+)", _("failed by %(who)s")),
    (r"put back by an operator", _("put back by an operator")),
    (r"put back by (?P<who>[^:]+): (?P<said>.+)", _("put back by %(who)s: %(said)s")),
    (r"put back by (?P<who>[^:]+)", _("put back by %(who)s")),
)
_KNOWN = [(re.compile(pattern, re.S), told) for pattern, told in _TEXTS]


def tell_failure(error: str, pattern: str, told: Promise) -> None:
    """Tell also this text of an app's error of that name; what stands in the place `why` is told itself."""
    _ERRORS.add(error)
    _KNOWN.append((re.compile(pattern, re.S), told))


def retold_failure(reason: str) -> str:
    """`JobInterrupted: worker w1 is gone: no sign of life`; the name of the error stays."""
    if reason.startswith(_RESCUED):
        return str(_("rescued: %(why)s")) % {"why": _told(reason.removeprefix(_RESCUED))}
    name, colon, text = reason.partition(": ")
    return f"{name}{colon}{_told(text)}" if name in _ERRORS else _told(reason)


_RESCUED = "rescued: "
_RETOLD = ("why", "refusal")


def _told(text: str) -> str:
    for pattern, told in _KNOWN:
        if found := pattern.fullmatch(text):
            places = found.groupdict().items()
            return str(told) % {name: _told(text) if name in _RETOLD else text for name, text in places}
    return text
