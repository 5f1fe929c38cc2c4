"""What the pages that ask about one job have in common: what it means, and how a refusal is told."""

from __future__ import annotations

import re
from datetime import datetime

from django.http import HttpRequest
from django.utils.translation import ngettext

from jobqueue.models import Job
from jobqueue.operating.concerns import Sum, concerns_of
from jobqueue.operating.consequences import count_emails
from jobqueue.operating.reading import shown_text
from jobqueue.operating.retelling_failures import retold_failure
from jobqueue.operating.words import absolute

_MOMENT = re.compile(r"\b(?:run_at )?(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))")


def consequences(job: Job, request: HttpRequest) -> dict[str, str]:
    """How many e-mails a run of the job leads to, and whom it is about; empty where that is nothing."""
    emails = count_emails({job.processor: 1})
    text = ngettext("up to %(n)s e-mail", "up to %(n)s e-mails", emails) % {"n": emails}
    concerned = Sum.of(concerns_of({job.subject}, request).values()) if job.subject else Sum()
    return {"emails": text if emails else "", "concerned": concerned.in_words()}


def sentence(text: str) -> str:
    """An error's text as a sentence of its own."""
    return f"{text.removesuffix('.')}."


def refusal_of(error: Exception | str, request: HttpRequest) -> str:
    """Why something was not done, as a sentence: the reason of somebody before may hold an address."""
    return sentence(refused_text(error, request))


def refused_text(error: Exception | str, request: HttpRequest) -> str:
    """The same as part of a sentence. Programs read moments of ISO 8601, and the field of each."""
    return _MOMENT.sub(_as_people_read_it, retold_failure(shown_text(str(error), request)))


def _as_people_read_it(found: re.Match[str]) -> str:
    try:
        return absolute(datetime.fromisoformat(found["moment"]))
    except ValueError:
        return found[0]
