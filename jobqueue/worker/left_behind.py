"""What an executor left that has certainly ended goes back on the road, before its silence tells."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Sequence

from jobqueue.broker import lead, registries, server
from jobqueue.broker.message import Message
from jobqueue.conf import get_settings
from jobqueue.delivery import outbox, rescue
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job, Worker, bulk
from jobqueue.sql.databases import OUTAGES, databases
from jobqueue.worker.claiming import Claim
from jobqueue.worker.database_threads import IN_TURN, DatabaseThreads
from jobqueue.worker.in_hand import BESIDE_A_STUCK_JOB, WORKER_STOPPED, hand_back
from jobqueue.worker.options import EXIT_JOBS_LEFT, EXIT_RETIRED, EXIT_STUCK_JOB
from jobqueue.worker.side_processes import SideProcesses

logger = logging.getLogger(__name__)

# Ends that no job can have brought about but one that is noted already.
_INNOCENT = (0, EXIT_STUCK_JOB, EXIT_JOBS_LEFT, EXIT_RETIRED)
# Seconds for which a database that hangs, of several, keeps the caller.
_WITHIN = 1.0


def bring_back(
    executor_id: uuid.UUID,
    who: str,
    code: int,
    started: Sequence[int],
    stuck: Sequence[int] = (),
    side_processes: SideProcesses | None = None,
) -> None:
    """Put the jobs of `who`, an executor that ended with this exit code, back on the road.

    That uses up an attempt of the jobs in `started`, which were running, for one of them may have ended
    it; not of those that only shared the process with one in `stuck`, which ran past its time
    limit, or on after its stop was asked for.
    With several databases side processes do it, if there are any: one that hangs must not keep the caller.
    """

    def bring_back(threads: DatabaseThreads) -> None:
        if stuck:
            interrupt(executor_id, stuck, rescue.PAST_ITS_LIMIT, threads)
        if code not in _INNOCENT:
            interrupt(executor_id, started, f"{who} ended with code {code}", threads)
        is_for_a_stuck_one = bool(stuck) or code == EXIT_STUCK_JOB
        _hand_back_all(executor_id, threads, BESIDE_A_STUCK_JOB if is_for_a_stuck_one else WORKER_STOPPED)

    def bring_back_side_by_side() -> None:
        bring_back(DatabaseThreads.started("who brings jobs back", get_settings().worker_silence / 2))

    if side_processes is None or len(databases()) < 2:
        bring_back(IN_TURN)
    else:
        side_processes.run(bring_back_side_by_side, _WITHIN)


def _hand_back_all(executor_id: uuid.UUID, threads: DatabaseThreads, reason: str) -> None:
    def hand_back_those_of(using: str) -> None:
        jobs = Job.objects.using(using).held_by(executor_id)
        hand_back([Claim(job, using) for job in jobs], executor_id, reason)
        bulk.give_up(executor_id, using)

    try:
        if threads.each(hand_back_those_of):
            _forget(executor_id)
    except OUTAGES as error:
        _leave_to_the_rescue(error)


def interrupt(
    executor_id: uuid.UUID, job_ids: Sequence[int], reason: str, threads: DatabaseThreads = IN_TURN
) -> None:
    """Note that these jobs, as far as the executor holds them, were interrupted: an attempt is used up."""

    def interrupt_those_of(using: str) -> None:
        jobs = Job.objects.using(using).held_by(executor_id)
        for job in jobs.filter(pk__in=job_ids):
            rescue.interrupt(job, using, reason)

    try:
        threads.each(interrupt_those_of)
    except OUTAGES as error:
        _leave_to_the_rescue(error)


def _forget(executor_id: uuid.UUID) -> None:
    """Remove the executor from RQ's registries and from the workers."""
    try:
        server.ping()
        lead.give_up(executor_id.hex)  # its relay may have led: another leads at once, not after its lease
        _leave_to_the_relay(registries.taken_by(executor_id.hex))
        registries.forget_worker(executor_id.hex)
    except BrokerUnavailable:
        # Its row stays, so that the rescue does that when Redis is back.
        return
    for using in databases():
        Worker.objects.using(using).filter(pk=executor_id).delete()


def _leave_to_the_relay(taken: Sequence[Message]) -> None:
    """Have published anew what was taken from Redis and not claimed yet, not only once it counts as lost."""
    by_database: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for message in taken:
        by_database[message.using].append((message.job_id, message.attempt))
    for using in databases():
        if using in by_database:
            outbox.unpublish(by_database[using], using)


def _leave_to_the_rescue(error: Exception) -> None:
    logger.warning("the rescue will bring its jobs back: %s: %s", type(error).__name__, error)
