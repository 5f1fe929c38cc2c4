"""Verbs on one job, with what is written down of it; what its app guards is asked for before it is locked."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.utils import timezone

from jobqueue.exceptions import WrongState
from jobqueue.models import Job, JobQuerySet, guards
from jobqueue.operating.audit import entry_of, write_down
from jobqueue.operating.verbs import Verb
from jobqueue.operating.words import state_word
from jobqueue.sql.writing import writing

BRING_FORWARD: Final = ("run_now", "retry")
"""Verbs by which a job may run before its time."""


def take_and_log(verb: Verb, job_id: int, request: HttpRequest, reason: str) -> None:
    """Do it to the locked row, and write it down.

    Of two operators at once one changes the job and the other finds it changed. Raises WrongState if the verb
    does not take the job as it is, JobMoveRefused where the app that owns it does not let it run now, and
    Job.DoesNotExist.
    """
    using = Job.objects.db
    with writing(using):
        one = Job.objects.filter(pk=job_id)
        guarded = _guarded(verb, one)
        if guarded is not None:
            guards.ask(guarded, using)
        job = Job.objects.select_for_update().get(pk=job_id)
        entry = entry_of(verb, job, request, reason)
        if not verb.eligible(one).exists() or not _apply(verb, job, one, request, reason):
            label, state = str(verb.label).lower(), state_word(job, timezone.now())
            raise WrongState(f"Job {job_id} is {state}; {label} takes {verb.takes}.")
        write_down([entry])


def _guarded(verb: Verb, one: JobQuerySet) -> Job | None:
    return guards.guarded(verb.eligible(one)).first() if verb.name in BRING_FORWARD else None


def _apply(verb: Verb, job: Job, one: JobQuerySet, request: HttpRequest, reason: str) -> int:
    if _guarded(verb, one) is None:
        return verb.apply(one, request.user.get_username(), reason)
    if verb.name == "retry":
        job.retry()
    else:
        job.run_now()
    return 1
