"""Why a bulk action changed fewer jobs than were meant, which they are, and why it was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, ngettext

from jobqueue.models import AuditEntry, BulkAction
from jobqueue.operating.retelling import retold_refusal
from jobqueue.operating.words import grouped


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Jobs that an action left out, or waits for, for one reason; of many the first are named."""

    why: str
    text: str
    number: int
    ids: Sequence[int] = ()


REASONS = ("changed", "refused", "declined", "kept", "waits")
"""What `why` may be: the last is of jobs that are come back to."""


def left_out(action: BulkAction) -> list[LeftOut]:
    """Each reason with its number, in words; none if all were changed that were meant."""
    return list(_reasons(action))


def left_out_ids(action: BulkAction) -> list[int]:
    """All of these jobs that are known by their ids."""
    return [number for reason in _reasons(action) for number in reason.ids]


def stop_reasons(actions: Sequence[BulkAction]) -> dict[int, str]:
    """Why these were stopped, by their numbers, as it stands in the audit; asks only if any was."""
    stopped = [str(action.pk) for action in actions if action.stopped_by]
    if not stopped:
        return {}
    label = BulkAction._meta.label_lower
    entries = AuditEntry.objects.filter(object_type=label, object_id__in=stopped, verb="Stop")
    return {int(key): reason for key, reason in entries.values_list("object_id", "reason")}


def _reasons(action: BulkAction) -> Iterator[LeftOut]:
    for why, number in _numbers(action).items():
        if number:
            yield LeftOut(why, _text(action, why, number), number, _ids(action, why))


def _numbers(action: BulkAction) -> dict[str, int]:
    known = {why: found["number"] for why, found in _left_out(action).items()}
    changed = known.get("changed", 0)
    if not action.is_open and not action.stopped_by:
        changed = max(action.expected - action.changed - sum(known.values()) + changed, changed)
    numbers = known | {"changed": changed, "waits": len(action.waiting_for)}
    return {why: numbers.get(why, 0) for why in REASONS}


def _text(action: BulkAction, why: str, number: int) -> str:
    words = {"number": grouped(number)}
    if why == "changed":
        return (
            ngettext(
                "%(number)s job was changed by somebody else, or ran again, before its turn came.",
                "%(number)s jobs were changed by somebody else, or ran again, before their turn came.",
                number,
            )
            % words
        )
    if why == "refused":
        return (
            ngettext(
                "%(number)s job was left out: the database refuses to change it.",
                "%(number)s jobs were left out: the database refuses to change them.",
                number,
            )
            % words
        )
    if why == "declined":
        return ngettext(
            "%(number)s job was left alone: what it is about does not allow that. %(said)s.",
            "%(number)s jobs were left alone: what they are about does not allow that. %(said)s.",
            number,
        ) % (words | {"said": _said(action, number)})
    if why == "kept":
        return gettext("%(number)s left alone: what is set aside is put back first.") % words
    return (
        ngettext(
            "%(number)s job waits: somebody else keeps it locked in the database.",
            "%(number)s jobs wait: somebody else keeps them locked in the database.",
            number,
        )
        % words
    )


def _said(action: BulkAction, number: int) -> str:
    """What the first of the declined were declined with."""
    texts = _left_out(action)["declined"].get("said", [])
    return "; ".join(retold_refusal(str(text)) for text in texts) + ("; …" if number > len(texts) else "")


def _left_out(action: BulkAction) -> dict[str, dict[str, Any]]:
    return action.left_out if isinstance(action.left_out, dict) else {}


def _ids(action: BulkAction, why: str) -> list[int]:
    return list(action.waiting_for if why == "waits" else _left_out(action).get(why, {}).get("ids", []))
