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


def _told(text: str) -> str:
    for pattern, told in _KNOWN:
        if found := pattern.fullmatch(text):
            places = found.groupdict().items()
            return str(told) % {name: _told(text) if name == "why" else text for name, text in places}
    return text
