"""What the pages that ask about one job have in common: what it means, the reason, what is wrong."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.models import Job
from jobqueue.operating.concerns import Sum, concerns_of
from jobqueue.operating.consequences import count_emails

LONGEST_REASON = 500


def reason_of(request: HttpRequest) -> tuple[str, str]:
    """The reason that a form says, and what is wrong with it; empty if nothing is."""
    reason = request.POST.get("reason", "").strip()
    if reason and _can_be_kept(reason):
        return reason, ""
    said = _("Say why, in at most %(most)s characters.") % {"most": LONGEST_REASON}
    return reason[:LONGEST_REASON], said


def optional_reason_of(request: HttpRequest) -> tuple[str, str]:
    """The same where a form may be sent without a reason."""
    return reason_of(request) if request.POST.get("reason", "").strip() else ("", "")


def _can_be_kept(reason: str) -> bool:
    return len(reason) <= LONGEST_REASON and "\x00" not in reason


def consequences(job: Job, request: HttpRequest) -> dict[str, str]:
    """How many e-mails a run of the job leads to, and whom it is about; empty where that is nothing."""
    emails = count_emails({job.processor: 1})
    text = ngettext("up to %(n)s e-mail", "up to %(n)s e-mails", emails) % {"n": emails}
    concerned = Sum.of(concerns_of({job.subject}, request).values()) if job.subject else Sum()
    return {"emails": text if emails else "", "concerned": concerned.in_words()}


def sentence(text: str) -> str:
    """An error's text as a sentence of its own."""
    return f"{text.removesuffix('.')}."
