"""The rows of jobs that cannot be stopped, right before their process ends for them."""

from __future__ import annotations

from collections.abc import Sequence

from jobqueue.delivery import rescue
from jobqueue.models import Job
from jobqueue.worker import log_lines
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.database_threads import DatabaseThreads
from jobqueue.worker.in_hand import BESIDE_A_STUCK_JOB, hand_back_in_each
from jobqueue.worker.options import Options


def interrupt(stuck: Sequence[Job], held: Sequence[Claim], identity: Identity, options: Options) -> None:
    """Note that these ran too long, or on after their stop was asked for; hand back what else is held.

    Where there is a supervisor, that hands it back. A database that hangs is waited for a moment only.
    """
    threads = DatabaseThreads.started("who ends stuck jobs")
    keys = {(job._state.db, job.pk) for job in stuck}

    def interrupt_those_of(using: str) -> None:
        for job, its_database in held:
            is_stuck = its_database == using and (using, job.pk) in keys
            if is_stuck and rescue.interrupt(job, using, rescue.PAST_ITS_LIMIT):
                log_lines.write([job], using)  # its thread hangs; what it said until then is here

    threads.each(interrupt_those_of)
    others = [claimed for claimed in held if (claimed.using, claimed.job.pk) not in keys]
    if others and not options.has_supervisor():
        hand_back_in_each(others, identity.id, threads, BESIDE_A_STUCK_JOB)
