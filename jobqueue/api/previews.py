"""What letters a waiting job would send, as `/api/jobs/{id}/preview/` shows them before they go."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from rest_framework import serializers

from jobqueue.api.shapes import Moment
from jobqueue.models import Job
from jobqueue.operating.previews import Departure, Preview, departure_of, has_preview, preview_of
from jobqueue.operating.words import carried


class LetterShape(serializers.Serializer[Any]):
    """A letter as it would be at the moment at which it leaves."""

    to = serializers.CharField(allow_blank=True)
    subject = serializers.CharField(allow_blank=True)
    text = serializers.CharField(allow_blank=True)
    html = serializers.CharField(allow_blank=True)
    skipped = serializers.CharField(allow_blank=True, help_text="Why it would not leave; empty if it would.")
    waits_until = Moment(allow_null=True, help_text="Until when it would be kept back.")
    leaves_at = Moment(
        allow_null=True,
        help_text="When it would leave at the earliest, were it not skipped or kept back; null while nobody "
        "knows: the job is held, or a queue is paused until somebody resumes it.",
    )
    paused_queues = serializers.ListField(
        child=serializers.CharField(), help_text="The queues that it goes through and that are paused."
    )


class PreviewShape(serializers.Serializer[Any]):
    """The letters of a job before they go; nothing is written or sent by asking."""

    letters = LetterShape(many=True)
    trouble = serializers.CharField(allow_blank=True, help_text="Why its letters cannot be made.")


def previewed(job: Job) -> dict[str, Any]:
    """The letters of the job; Http404 if nobody can tell what it would send."""
    if not has_preview(job):
        raise Http404(f"There is no job {job.pk} whose letters can be shown before they go.")
    found, of_job = preview_of(job), departure_of(job)
    letters = [_letter(one, one.leaves or of_job) for one in found.letters]
    return {"letters": letters, "trouble": carried(found.trouble)}


def _letter(letter: Preview, leaves: Departure) -> dict[str, Any]:
    texts = ("to", "subject", "text", "html", "skipped")
    return {
        **{name: carried(getattr(letter, name)) for name in texts},
        "waits_until": Moment().to_representation(letter.waits_until),
        "leaves_at": Moment().to_representation(leaves.at if leaves.is_known else None),
        "paused_queues": list(leaves.paused),
    }
