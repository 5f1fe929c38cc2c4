"""What operators did is kept in English, whoever did it; here it is told in the language of who reads it.

Fragments that the catalogues know are told by them, whatever app they are of: an app marks what it writes
down with `gettext_noop`. What is not known, as names and reasons, stays as it was written.
"""

from __future__ import annotations

import re
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from jobqueue.models import AuditEntry, Job
from jobqueue.models.guards import NOT_AHEAD
from jobqueue.models.job import NOT_MOVED, NOT_RETRIED, NOT_RUN_NOW
from jobqueue.operating.audit_entry import said_by
from jobqueue.operating.retelling_failures import retold_failure
from jobqueue.operating.retelling_names import (
    retold_fields,
    retold_form,
    retold_names,
)
from jobqueue.operating.retelling_names import word_told as _word
from jobqueue.operating.words import grouped

_WITH_PLACES: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(r"delayed until (?P<moment>.+)"), _("delayed until %(moment)s")),
    (re.compile(r"paused until (?P<moment>.+)", re.S), _("paused until %(moment)s")),
    (re.compile(r"paused \(“(?P<reason>.+)”\)", re.S), _("paused (“%(reason)s”)")),
    (re.compile(r"held, was to run (?P<moment>.+)"), _("held, was to run %(moment)s")),
    (re.compile(r"runs (?P<moment>.+)"), _("runs %(moment)s")),
    (re.compile(r"set aside \((?P<why>.*)\)"), _("set aside (%(why)s)")),
    (
        re.compile(r"(?P<number>\d+) process(?:es)? on (?P<host>.+)"),
        ngettext_lazy("%(number)s process on %(host)s", "%(number)s processes on %(host)s", "number"),
    ),
    (
        re.compile(r"(?P<number>\d+) of (?P<all>\d+) jobs? (?:was|were) changed"),
        ngettext_lazy(
            "%(number)s of %(all)s job was changed", "%(number)s of %(all)s jobs were changed", "all"
        ),
    ),
    (
        re.compile(r"(?P<number>\d+) jobs? by (?P<by>-?\d+ days?(?: back)?) \((?P<which>.*)\)", re.S),
        ngettext_lazy(
            "%(number)s job by %(by)s (%(which)s)", "%(number)s jobs by %(by)s (%(which)s)", "number"
        ),
    ),
    (
        re.compile(r"(?P<days>\d+) days? back"),
        ngettext_lazy("%(days)s day back", "%(days)s days back", "days"),
    ),
    (re.compile(r"(?P<days>-?\d+) days?"), ngettext_lazy("%(days)s day", "%(days)s days", "days")),
    (
        re.compile(r"(?P<number>\d+) jobs? \((?P<which>.*)\)", re.S),
        ngettext_lazy("%(number)s job (%(which)s)", "%(number)s jobs (%(which)s)", "number"),
    ),
    (re.compile(r"job #(?P<number>\d+), (?P<how>with .+)"), _("job #%(number)s, %(how)s")),
    (re.compile(r"with another (?P<names>.+)"), _("with another %(names)s")),
    (re.compile(r"job #(?P<number>\d+)"), _("job #%(number)s")),
    (
        re.compile(r"(?P<verb>[A-Z][a-z ]+), by bulk action #(?P<number>\d+)"),
        _("%(verb)s, by bulk action #%(number)s"),
    ),
    (re.compile(r"(?P<names>.+) and (?P<number>\d+) more", re.S), _("%(names)s and %(number)s more")),
]
_NUMBERS = ("number", "all", "days")
"""Places whose number decides between one and many."""
_REFUSALS: list[tuple[re.Pattern[str], str]] = []
_BY_SOMEBODY: tuple[tuple[re.Pattern[str], Promise], ...] = (
    (re.compile(r"stopped by (?P<who>.+)"), _("stopped by %(who)s")),
    (re.compile(r"held by (?P<who>.+)"), _("held by %(who)s")),
    (re.compile(r"cancelled by (?P<who>.+)"), _("cancelled by %(who)s")),
    (re.compile(r"deleted by (?P<who>.+)"), _("deleted by %(who)s")),
)
"""What stands before a colon, and behind it what that person said."""
_KNOWN = (
    gettext_noop("cancelled by an operator"),
    gettext_noop("Add"),
    gettext_noop("Change"),
    gettext_noop("Hold"),
    gettext_noop("Release"),
    gettext_noop("Put back"),
    gettext_noop("Limits"),
    gettext_noop("Pause letters"),
    gettext_noop("Resume letters"),
    gettext_noop("Pause"),
    gettext_noop("Resume"),
    gettext_noop("due now"),
    gettext_noop("as it was"),
    gettext_noop("set aside"),
    gettext_noop("its failures do not count"),
    gettext_noop("its failures count"),
    gettext_noop("with another payload"),
    gettext_noop("with the same payload"),
)
"""What stands alone in what is written down, and nowhere else on the pages."""
_WORDS_OF_A_SELECTION = (
    "cause",
    "queue",
    "processor",
    "failed since",
    "failed before",
    "kind",
    "to run from",
    "to",
)


_LISTED = re.compile(r"jobs of the list (?P<words>.+)", re.S)
_PLACE = re.compile(r"%\\\((\w+)\\\)s")


def tell_refusals(*texts: str) -> None:
    """Tell also these, marked by `gettext_noop`, with which an app refuses what is asked of a job.

    Where many jobs are meant they are written down. What stands in a place ends where the text goes on.
    """
    for text in texts:
        _REFUSALS.append((re.compile(_PLACE.sub(r"(?P<\1>.+?)", re.escape(text)), re.S), text))


def tell_also(pattern: str, told: Promise) -> None:
    """Tell what an app writes down: what the pattern finds as a whole, with its named groups as places.

    What stands in the places `how` and `by` is told itself, and in `fields` what a form calls its fields.
    """
    _WITH_PLACES.append((re.compile(pattern), told))


def retold_refusal(text: str) -> str:
    """`#17: job 17 is completed and cannot be moved; …`; what no app has told stays as it was written."""
    number, colon, said = text.partition(": ")
    return f"{number}{colon}{_refusal(said)}" if number.startswith("#") else _refusal(text)


def _refusal(text: str) -> str:
    """The text as the reader says it, also what stands in its places."""
    for pattern, marked in _REFUSALS:
        if found := pattern.fullmatch(text):
            return gettext(marked) % {name: _refusal(value) for name, value in found.groupdict().items()}
    return _word(text)


def told_reason(job: Job) -> str:
    """Why the job was skipped, cancelled or held, as the reader says it; what a processor raised stays."""
    is_error = job.state in (Job.State.FAILED, Job.State.ACTIVE) or (
        job.state == Job.State.WAITING and job.held_run_at is None
    )
    return retold_failure(job.reason) if is_error else retold_reason(job.reason)


def retold_reason(reason: str) -> str:
    """`skipped: nothing is left to pay`; what a person said stays as it is."""
    head, colon, rest = reason.partition(": ")
    for pattern, told in _BY_SOMEBODY:
        if (found := pattern.fullmatch(head)) and head not in _KNOWN:
            return f"{str(told) % found.groupdict()}{colon}{rest}"
    return retold(reason)


def retold(text: str) -> str:
    """`Retry: failed → waiting` as the reader says it."""
    told = "" if _is_known(text.removesuffix(".")) else retold_form(text)
    return told or "; ".join(_sentence(part) for part in text.split("; "))


def retold_message(message: str) -> str:
    """A whole message of the history: what was done, and the reason as it was given."""
    what, reason = said_by(message)
    return f"{retold(what)} {gettext('Reason:')} {reason}" if reason else retold(what)


def retold_verb(verb: str) -> str:
    """`Retry` as the reader says it."""
    return _word(verb)


def kind_of_several(entry: AuditEntry) -> str:
    """The label of the model of the records that the action was done to; empty if it was one."""
    return "" if entry.object_id else entry.object_type


def retold_beside(verb: str, text: str, kind: str = "") -> str:
    """What was done, for where the verb stands already: `failed → waiting` beside `Retry`.

    `kind` is the label of the model of several records that it was done to: their names are told as one's is.
    """
    names = text.removeprefix(f"{verb}: ") if " → " not in text else text
    if kind and names != text and (listed := retold_names(kind, names)) != names:
        return listed
    told, word = retold(text), retold_verb(verb)
    return "" if told.rstrip(".") == word else told.removeprefix(f"{word}: ")


def _sentence(text: str) -> str:
    verb, colon, rest = text.partition(": ")
    if not colon:
        return _steps(text)
    return f"{_word(verb)}: {_steps(rest)}"


def _steps(text: str) -> str:
    end = "." if text.endswith(".") else ""
    return " → ".join(_fragment(part) for part in text.removesuffix(".").split(" → ")) + end


def _is_known(text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern, _told in _WITH_PLACES)


def _fragment(text: str) -> str:
    for pattern, told in _WITH_PLACES:
        if found := pattern.fullmatch(text):
            is_number_of_a_row = "#(?P<number>" in pattern.pattern
            told_as = _name_or_place if is_number_of_a_row else _place
            return str(told % {name: told_as(name, value) for name, value in found.groupdict().items()})
    head, colon, rest = text.partition(": ")
    return f"{_word(head)}{colon}{rest}"


class _Grouped(int):
    """A number that decides between one and many, and is read with separators."""

    def __str__(self) -> str:
        return grouped(int(self))


def _name_or_place(name: str, value: str) -> str | int:
    return value if name == "number" else _place(name, value)


def _place(name: str, value: str) -> str | int:
    if name in _NUMBERS and value.removeprefix("-").isdecimal():
        return _Grouped(value)
    if name == "which" and (found := _LISTED.fullmatch(value)):
        return gettext("jobs of the list %(words)s") % {"words": _word(found["words"])}
    if name == "which":
        return ", ".join(_selected(part) for part in value.split(", "))
    if name == "fields":
        return retold_fields(value)
    if name == "verb":
        return _word(value)
    return _fragment(value) if name in ("how", "by") else value


def _selected(text: str) -> str:
    for label in _WORDS_OF_A_SELECTION:
        if text.startswith(f"{label} "):
            return f"{gettext(label)} {text.removeprefix(label).strip()}"
    return _word(text)


tell_refusals(NOT_MOVED, NOT_RETRIED, NOT_RUN_NOW, NOT_AHEAD)
