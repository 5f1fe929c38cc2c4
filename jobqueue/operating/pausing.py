"""Pause and resume of a queue by an operator, with what is written down of it."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from jobqueue.models import Queue
from jobqueue.models.pauses import pause, resume
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because
from jobqueue.operating.words import absolute
from jobqueue.sql.writing import writing


def pause_and_log(request: HttpRequest, name: str, reason: str = "", until: datetime | None = None) -> bool:
    """Pause it in the name of this user, with an entry in the history; False if it is paused already."""
    with writing(Queue.objects.db):
        if not pause(name, by=request.user.get_username(), reason=reason, until=until):
            return False
        end = f" until {absolute(until)}" if until else ""
        log_change(request, Queue(name), because(f"Pause: running → paused{end}", reason))
    return True


def resume_and_log(request: HttpRequest, name: str, reason: str = "") -> bool:
    """Resume it, with an entry in the history; False if it is not paused."""
    if "\x00" in name:
        return False
    with writing(Queue.objects.db):
        if not resume(name):
            return False
        log_change(request, Queue(name), because("Resume: paused → running", reason))
    return True
