"""Why a bulk action changed fewer jobs than were meant, and which they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from jobqueue.models import BulkAction
from jobqueue.operating.reading import shown_text
from jobqueue.operating.retelling import retold_refusal
from jobqueue.operating.words import grouped


def shown(action: BulkAction, request: HttpRequest, site: AdminSite) -> dict[str, Any]:
    """What the page of the action says of it: the reasons, and where the jobs are listed."""
    reasons = [shown_text(text, request) for text in _reasons(action)]
    url = reverse(f"{site.name}:jobqueue_job_changelist", query={"left_out": action.pk})
    return {"reasons": reasons, "url": url if _ids(action) else ""} if reasons else {}


def jobs_left_out_by(number: int, jobs: QuerySet[Any]) -> QuerySet[Any]:
    """Those of the jobs that this action left out, or waits for; none where there is no such action."""
    action = BulkAction.objects.filter(pk=number).first()
    return jobs.filter(pk__in=_ids(action) if action is not None else [])


def _reasons(action: BulkAction) -> Iterator[str]:
    known = _known(action)
    changed = known.get("changed", 0)
    if not action.is_open and not action.stopped_by:
        changed = max(action.expected - action.changed - sum(known.values()) + changed, changed)
    if changed:
        yield ngettext(
            "%(number)s job was changed by somebody else, or ran again, before its turn came.",
            "%(number)s jobs were changed by somebody else, or ran again, before their turn came.",
            changed,
        ) % {"number": grouped(changed)}
    if refused := known.get("refused", 0):
        yield ngettext(
            "%(number)s job was left out: the database refuses to change it.",
            "%(number)s jobs were left out: the database refuses to change them.",
            refused,
        ) % {"number": grouped(refused)}
    if declined := known.get("declined", 0):
        said = "; ".join(retold_refusal(str(text)) for text in _left_out(action)["declined"].get("said", []))
        more = "; …" if declined > len(_left_out(action)["declined"].get("said", [])) else ""
        yield ngettext(
            "%(number)s job was left alone: what it is about does not allow that. %(said)s.",
            "%(number)s jobs were left alone: what they are about does not allow that. %(said)s.",
            declined,
        ) % {"number": grouped(declined), "said": said + more}
    if kept := known.get("kept", 0):
        yield gettext("%(number)s left alone: what is set aside is put back first.") % {
            "number": grouped(kept)
        }
    if held := len(action.waiting_for):
        yield ngettext(
            "%(number)s job waits: somebody else keeps it locked in the database.",
            "%(number)s jobs wait: somebody else keeps them locked in the database.",
            held,
        ) % {"number": grouped(held)}


def _left_out(action: BulkAction) -> dict[str, dict[str, Any]]:
    return action.left_out if isinstance(action.left_out, dict) else {}


def _known(action: BulkAction) -> dict[str, int]:
    return {why: found["number"] for why, found in _left_out(action).items()}


def _ids(action: BulkAction) -> list[int]:
    named = [number for found in _left_out(action).values() for number in found["ids"]]
    return [*named, *action.waiting_for]
