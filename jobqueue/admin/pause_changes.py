"""The change of a pause: what its operator changed in the filled form, over nothing that they did not see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from jobqueue.admin.asked import refused_text
from jobqueue.admin.pause_form import OFFERED, ask, back_url, typed, until_of
from jobqueue.admin.shown_values import SHOWN, UNKNOWN, seal, unseal
from jobqueue.admin.words import NOTHING
from jobqueue.exceptions import ChangedMeanwhile, InvalidPause
from jobqueue.models import Queue
from jobqueue.models.pauses import Stays
from jobqueue.operating.pausing import change_pause_and_log, who_resumed
from jobqueue.operating.reading import shown_text
from jobqueue.operating.words import absolute, printable
from jobqueue.registry import check_queue
from jobqueue.sql.clock import database_now


@dataclass(frozen=True, slots=True)
class _Pause:
    """A pause as the form shows it: its reason without addresses that are masked for its reader."""

    reason: str
    until: datetime | None

    @classmethod
    def of(cls, queue: Queue, request: HttpRequest) -> _Pause:
        return cls(shown_text(queue.pause_reason, request), queue.paused_until)

    @property
    def fields(self) -> dict[str, str]:
        """As the form has it: its end to the minute."""
        end = f"{timezone.localtime(self.until):%Y-%m-%dT%H:%M}" if self.until else ""
        return {"reason": self.reason, "until": end}


@dataclass(frozen=True, slots=True)
class _Entered:
    """What was sent, and what of it the operator changed against what the form had shown."""

    fields: dict[str, str]
    showed: _Pause

    @property
    def is_other_reason(self) -> bool:
        return _in_one_line(self.fields["reason"]) != _in_one_line(self.showed.reason)

    @property
    def is_left_end(self) -> bool:
        """Whether the end stands there as it was shown; a length that was chosen counts more than that."""
        return self.fields["until"] == self.showed.fields["until"]

    def is_other_end(self, now: _Pause) -> bool:
        """Whether another end is wanted than was shown, and than there is."""
        if self.fields["for"]:
            return True
        return not self.is_left_end and self.fields["until"] != now.fields["until"]

    def until(self) -> datetime | None:
        """The end that is asked for."""
        return until_of(self.fields["for"], "" if self.is_left_end else self.fields["until"])

    def over(self, now: _Pause) -> dict[str, str]:
        """The form to be shown again: what was not changed follows the row."""
        filled = dict(self.fields)
        if not self.is_other_reason:
            filled["reason"] = now.reason
        if self.is_left_end:
            filled["until"] = now.fields["until"]
        return filled

    def unseen(self, now: _Pause) -> Iterator[str]:
        """What both changed, each to something else, in words: what was shown, is now, and was entered."""
        if self.is_other_reason and now.reason not in (self.showed.reason, self.fields["reason"].strip()):
            yield _unseen(_("Reason"), *map(_quoted, (self.showed.reason, now.reason, self.fields["reason"])))
        if self.is_other_end(now) and now.until != self.showed.until:
            yield _unseen(
                _("End of the pause"), _end(self.showed.until), _end(now.until), self._entered_end()
            )

    def _entered_end(self) -> str:
        length = dict(OFFERED).get(self.fields["for"]) if self.fields["for"] else None
        return str(length or printable(self.fields["until"].replace("T", " ")) or OFFERED[0][1])


def _unseen(what: str, before: str, now: str, entered: str) -> str:
    text = _("%(what)s: %(before)s → %(now)s, and you entered %(entered)s")
    return text % {"what": what, "before": before, "now": now, "entered": entered}


def _in_one_line(text: str) -> str:
    """As the field of a browser has it."""
    return text.replace("\r", "").replace("\n", "").strip()


def _quoted(reason: str) -> str:
    return f"“{printable(reason.strip())}”" if reason.strip() else NOTHING


def _end(until: datetime | None) -> str:
    return absolute(until) if until else str(OFFERED[0][1])


def paused_now(name: str) -> Queue | None:
    """The row of the queue if it is paused."""
    queue = Queue.objects.filter(pk=name).first() if "\x00" not in name else None
    return queue if queue is not None and queue.is_paused_at(database_now(Queue.objects.db)) else None


def ask_filled(
    request: HttpRequest, pages: ModelAdmin[Any], now: Queue, filled: dict[str, str] | None = None
) -> HttpResponse:
    """The form with the pause that there is, or with what is `filled` in over it."""
    pause = _Pause.of(now, request)
    values = {"reason": pause.reason, "until": pause.until.isoformat() if pause.until else ""}
    return ask(request, pages, now.pk, filled or pause.fields, seal(Queue, now.pk, values))


def change_pause(request: HttpRequest, pages: ModelAdmin[Any], name: str) -> HttpResponse:
    """Change the pause as the filled form says; ask again where that overlooks what others did meanwhile."""
    now, shown = paused_now(name), unseal(Queue, name, request.POST.get(SHOWN, ""), ("reason", "until"))
    if now is None:
        return _ask_anew(request, pages, name)
    if shown is None:
        messages.error(request, str(UNKNOWN))
        return ask_filled(request, pages, now)
    until = parse_datetime(shown.values["until"])
    entered = _Entered(typed(request), _Pause(shown.values["reason"], until))
    filled = entered.over(_Pause.of(now, request))
    if unseen := "; ".join(entered.unseen(_Pause.of(now, request))):
        words = {"who": printable(now.paused_by), "queue": printable(name), "what": unseen}
        text = _(
            "While this form was open, %(who)s changed the pause of %(queue)s. %(what)s. "
            "Nothing was saved: look at what is there now, then send it again if it is to be so all the same."
        )
        messages.error(request, text % words)
        return ask_filled(request, pages, now, filled)
    try:
        _write(request, now, entered)
    except ChangedMeanwhile:  # after the look at it, before its lock: the next look sees it
        return change_pause(request, pages, name)
    except InvalidPause as error:
        refuse(request, error)
        return ask_filled(request, pages, now, filled)
    return HttpResponseRedirect(back_url(request))


def refuse(request: HttpRequest, error: Exception) -> None:
    """Say why nothing was done."""
    messages.error(request, _("Nothing was paused: %(error)s.") % {"error": refused_text(error, request)})


def _ask_anew(request: HttpRequest, pages: ModelAdmin[Any], name: str) -> HttpResponse:
    """The pause that was to be changed is over: whether there is to be another one is another question."""
    check_queue(name)
    who = who_resumed(name)
    text = (
        _("While this form was open, %(who)s resumed %(queue)s. Nothing was changed, and it is not paused.")
        if who
        else _("While this form was open, the pause of %(queue)s came to its end. Nothing was changed.")
    )
    messages.error(request, text % {"who": printable(who), "queue": printable(name)})
    return ask(request, pages, name, typed(request))


def _write(request: HttpRequest, now: Queue, entered: _Entered) -> None:
    """Write what was changed, and say what it was before."""
    reason = entered.fields["reason"].strip() if entered.is_other_reason else Stays.AS_IT_IS
    until = entered.until() if entered.is_other_end(_Pause.of(now, request)) else Stays.AS_IT_IS
    before = change_pause_and_log(request, now.pk, reason=reason, until=until, seen=now)
    if before is None:
        messages.warning(request, _("%(queue)s is paused already.") % {"queue": now.pk})
        return
    words = {
        "queue": now.pk,
        "end": _end(before.paused_until),
        "who": printable(before.paused_by),
        "reason": shown_text(before.pause_reason, request),
    }
    text = (
        _("The pause of %(queue)s is changed. Before, by %(who)s: %(end)s, “%(reason)s”.")
        if before.pause_reason
        else _("The pause of %(queue)s is changed. Before, by %(who)s: %(end)s.")
    )
    messages.success(request, text % words)
