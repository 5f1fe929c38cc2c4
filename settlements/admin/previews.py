"""What waiting jobs of this app would send: shown by the job queue's pages before it goes."""

from __future__ import annotations

from collections.abc import Sequence

from jobqueue.admin import Preview, tells_preview
from jobqueue.models import Job, alias_of
from jobqueue.operating import tells_skips
from settlements import foreseen
from settlements.previews import PROCESSORS, LetterPreview, letters_of


def of_job(job: Job) -> list[Preview]:
    """The letters of a job, as a page shows them."""
    return [_shown(letter) for letter in letters_of(job)]


def _shown(letter: LetterPreview) -> Preview:
    rendered = letter.rendered
    return Preview(
        to=letter.address,
        subject=rendered.subject if rendered else "",
        text=rendered.text if rendered else "",
        html=rendered.html if rendered else "",
        skipped=letter.skipped,
        waits_until=letter.waits_until,
        leaves=letter.leaves,
    )


for _processor in PROCESSORS:
    tells_preview(_processor)(of_job)


@tells_skips(*foreseen.PROCESSORS)
def of_jobs(jobs: Sequence[Job]) -> dict[int, str]:
    """Which of these waiting jobs would be skipped, and why."""
    return foreseen.skips_of(jobs, alias_of(jobs[0]))
