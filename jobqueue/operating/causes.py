"""Causes of failures that operators mute: their failures do not count."""

from __future__ import annotations

from django.http import HttpRequest

from jobqueue.models import Cause
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because
from jobqueue.sql.clock import database_now
from jobqueue.sql.writing import writing


def set_muted(name: str, is_to_be: bool, request: HttpRequest, reason: str = "") -> bool:
    """Mute a cause, or end that; with an entry in the audit. False if it was so already."""
    using = Cause.objects.db
    with writing(using):
        cause, _is_new = Cause.objects.using(using).get_or_create(name=name)
        rows = Cause.objects.using(using).filter(pk=name, muted_at__isnull=is_to_be)
        values = (database_now(using), request.user.get_username()[:200]) if is_to_be else (None, "")
        if not rows.update(muted_at=values[0], muted_by=values[1]):
            return False
        text = "Mute: its failures do not count" if is_to_be else "Unmute: its failures count"
        log_change(request, cause, because(text, reason))
    return True
