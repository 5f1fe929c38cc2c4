"""Pause and resume of a queue by an operator, with what is written down of it."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from jobqueue.models import AuditEntry, Queue
from jobqueue.models.pauses import Stays, change_pause, pause, resume
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import REASON, because
from jobqueue.operating.words import absolute
from jobqueue.sql.writing import writing


def pause_and_log(request: HttpRequest, name: str, reason: str = "", until: datetime | None = None) -> bool:
    """Pause it in the name of this user, with an entry in the history; False if it is paused already."""
    with writing(Queue.objects.db):
        if not pause(name, by=request.user.get_username(), reason=reason, until=until):
            return False
        log_change(request, Queue(name), because(f"Pause: running → paused{_end(until)}", reason))
    return True


def change_pause_and_log(
    request: HttpRequest,
    name: str,
    reason: str | Stays = Stays.AS_IT_IS,
    until: datetime | Stays | None = Stays.AS_IT_IS,
    seen: Queue | None = None,
) -> Queue | None:
    """Change the reason or the end of its pause in the name of this user, with old and new in the history.

    Returns the row as it was before; None if nothing differs, or it is not paused. Raises what `change_pause`
    raises, also for what was `seen`.
    """
    with writing(Queue.objects.db):
        changed = change_pause(name, by=request.user.get_username(), reason=reason, until=until, seen=seen)
        if changed is None:
            return None
        before, after = changed
        text = f"Pause: paused{_end(before.paused_until)}"
        if before.pause_reason and before.pause_reason != after.pause_reason:
            # What follows the word is read as the new one.
            text = f"{text} (“{before.pause_reason.replace(REASON, 'Reason ')}”)"
        text = f"{text} → paused{_end(after.paused_until)}"
        log_change(request, Queue(name), because(text, after.pause_reason))
    return before


def _end(until: datetime | None) -> str:
    return f" until {absolute(until)}" if until else ""


def who_resumed(name: str) -> str:
    """Who ended the latest pause of the queue; empty if it ended by itself."""
    about = AuditEntry.objects.filter(object_type=Queue._meta.label_lower, object_id=name)
    latest = about.filter(verb__in=["Pause", "Resume"]).order_by("-id").first()
    return latest.who if latest is not None and latest.verb == "Resume" else ""


def resume_and_log(request: HttpRequest, name: str, reason: str = "") -> bool:
    """Resume it, with an entry in the history; False if it is not paused."""
    if "\x00" in name:
        return False
    with writing(Queue.objects.db):
        if not resume(name):
            return False
        log_change(request, Queue(name), because("Resume: paused → running", reason))
    return True
