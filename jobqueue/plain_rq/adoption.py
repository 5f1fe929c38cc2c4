"""Jobs put on our queues with plain RQ: those whose function the settings allow are adopted.

A foreign message is quarantined in Redis in the same step that takes it from its queue. An allowed one then
becomes a row, and from then on a job like any other. Until it has ended Redis keeps a note of it: a worker
that dies or loses the database on the way leaves the rest to the next one, and each step may be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, transaction
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from jobqueue.broker import foreign, neighbours
from jobqueue.broker.foreign import Report
from jobqueue.conf import get_settings
from jobqueue.delivery import outbox
from jobqueue.exceptions import BrokerUnavailable, Discard
from jobqueue.models import Job, JobQuerySet, jobs_in, transitions
from jobqueue.plain_rq.requests import Refused, Request, read
from jobqueue.registry import Answer, Processor, add
from jobqueue.sql.databases import databases
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)

PROCESSOR = "rq.function"
_LOOK_AFTER_AT_ONCE = 100
_RQ_STATUS = {
    Job.State.WAITING: "started",
    Job.State.ACTIVE: "started",
    Job.State.COMPLETED: "finished",
    Job.State.FAILED: "failed",
    Job.State.CANCELLED: "canceled",
}


def look_after(messages: Iterable[tuple[str, str]]) -> int:
    """Adopt these quarantined `(queue, message id)`, or explain why not. Returns how many are to run.

    Raises BrokerUnavailable or the database's error; what is left then is looked after later.
    """
    to_run = 0
    for queue, message_id in messages:
        try:
            to_run += _look_after(queue, message_id)
        except (BrokerUnavailable, DatabaseError, InterfaceError):
            raise
        except Exception as error:
            logger.exception("the foreign message %r could not be looked after", message_id[:100])
            refuse(queue, message_id, f"it could not be read: {type(error).__name__}")
    return to_run


def look_after_strays(queues: Sequence[str]) -> int:
    """Look after what waits in these queues for RQ's scheduler, or for other jobs of RQ's to end."""
    return look_after(foreign.strays(queues))


def look_after_due() -> int:
    """Look after what other workers left, and after adopted jobs that ended without a word to RQ."""
    return look_after(foreign.to_look_after(_LOOK_AFTER_AT_ONCE))


def _look_after(queue: str, message_id: str) -> bool:
    try:
        request = read(queue, message_id)
        job = _adopted(request)
        if job is None:
            if _is_shared(queue, message_id):
                return False
            job = _adopt(request)
    except Refused as refusal:
        if _is_shared(queue, message_id):
            return False
        refuse(queue, message_id, str(refusal))
        return False
    foreign.report(_report(job))
    return job.state in (Job.State.WAITING, Job.State.ACTIVE)


def _is_shared(queue: str, message_id: str) -> bool:
    """Whether another installation uses this Redis too: then nobody can tell whose a foreign message is.

    It stays where it is until the two are parted, and is looked at again and again until then.
    """
    if not neighbours.warning("work"):
        return False
    foreign.leave(queue, message_id, "two installations share this Redis, and nobody knows whose it is")
    return True


def refuse(queue: str, message_id: str, why: str) -> None:
    """Leave a foreign message in quarantine for good, and say there and in the log why it was not run."""
    text = (
        f"Quarantined: the message {message_id[:100]!r} on queue {queue!r} was not published by jobqueue "
        "and was not run. Enqueue jobs with jobqueue.jobs.enqueue(). Of plain RQ's jobs only those run whose "
        f'function JOBQUEUE["ALLOWED_FUNCTIONS"] names. This one does not, because {why}.'
    )
    foreign.refuse(queue, message_id, why, text)
    logger.error(text)


def _adopted(request: Request) -> Job | None:
    """The job that this request became already.

    An RQ job that is enqueued anew while its job has not ended is no second one: that happens when a worker
    died after it had adopted it, and an operator finds it in RQ's failed registry.
    """
    jobs = _jobs_of(request)
    for job in jobs:
        if _is_of(job, request):
            return job
    for job in jobs.unfinished():
        if {**job.payload, "enqueued_at": request.payload["enqueued_at"]} == request.payload:
            jobs.filter(pk=job.pk).update(payload=request.payload)
            job.payload = request.payload
            return job
    return None


def _adopt(request: Request) -> Job:
    if request.payload["function"] not in get_settings().allowed_functions:
        raise Refused(f"the function {request.payload['function'][:200]!r} is not allowed")
    job = Job.unsaved(
        processor=PROCESSOR, queue=request.queue, payload=request.payload, timeout=request.timeout
    )
    job.subject = request.subject
    job.unique_key = f"{request.subject}@{request.payload['enqueued_at']}"
    job.published_at = Now()
    using = database()
    try:
        with writing(using):
            transitions.insert(jobs_in(using), [job])
            # The key is free again once a job has started. What started holds no lock, so it is visible here.
            other = next((other for other in _jobs_of(request, besides=job) if _is_of(other, request)), None)
            if other is not None:
                transaction.set_rollback(True, using=using)
                return other
            outbox.publish_on_commit([job], using)
    except DataError as error:
        raise Refused(f"the database does not take it: {type(error).__name__}") from None
    except IntegrityError:
        # Another worker was quicker.
        other = _adopted(request)
        if other is None:
            raise
        return other
    logger.info("adopted RQ's job %s as job %d", request.payload["rq_job_id"], job.pk)
    return job


def database() -> str:
    """The alias of the database that adopted jobs are written to."""
    return databases()[0]


def _jobs_of(request: Request, besides: Job | None = None) -> JobQuerySet:
    jobs = Job.objects.using(database()).about(request.subject).filter(processor=PROCESSOR)
    return jobs.exclude(pk=besides.pk) if besides else jobs


def _is_of(job: Job, request: Request) -> bool:
    return bool(job.payload.get("enqueued_at") == request.payload["enqueued_at"])


def report_of(job: Job, *, is_failed: bool) -> Report | None:
    """What RQ's tools are told of a job that ended; None if it is not an adopted one."""
    # A row that somebody wrote by hand must not keep the outcomes of others from being written down.
    if job.processor != PROCESSOR or not {"rq_job_id", "enqueued_at"} <= job.payload.keys():
        return None
    return _report(job, Job.State.FAILED if is_failed else Job.State.COMPLETED)


def tell(report: Report) -> None:
    """Tell RQ's tools how an adopted job ended; BrokerUnavailable if Redis does not take it."""
    foreign.report(report)


def _report(job: Job, state: str = "") -> Report:
    payload, state = job.payload, state or job.state
    # No more than that: what went wrong may name people, and stands in the database.
    text = f"job {job.pk} of jobqueue failed; its attempts are in the admin" if state == "failed" else ""
    return Report(job.queue, payload["rq_job_id"], payload["enqueued_at"], _RQ_STATUS[Job.State(state)], text)


def run_function(
    function: str, args: list[Any], kwargs: dict[str, Any], rq_job_id: str, enqueued_at: str
) -> Answer:
    """Call the function of an adopted job, if it is still allowed. Its answer counts as a processor's."""
    if function not in get_settings().allowed_functions:
        raise Discard(f"the function {function!r} is not in JOBQUEUE ALLOWED_FUNCTIONS any more")
    answer: Answer = import_string(function)(*args, **kwargs)
    return answer


def register() -> Processor:
    """Register the processor of adopted jobs. It has no queue: each job has the one that it came from."""
    return add(Processor(PROCESSOR, "", run_function))
