"""What Redis carries of a job: its message, whose id is `<job id>-<attempt>`."""

from __future__ import annotations

import re
from typing import NamedTuple

from jobqueue.exceptions import JobQueueError

# The largest id that a row can have; an attempt of more digits nobody reaches. The scripts go by the same.
MOST_JOBS, MOST_ATTEMPTS, ALIAS_LENGTH = 2**63 - 1, 10**9 - 1, 64
JOB_DIGITS, ATTEMPT_DIGITS = len(str(MOST_JOBS)), len(str(MOST_ATTEMPTS))
MESSAGE_ID = re.compile(
    rf"(?P<job>\d{{1,{JOB_DIGITS}}})-(?P<attempt>\d{{1,{ATTEMPT_DIGITS}}})"
    rf"(?:-(?P<database>\w{{1,{ALIAS_LENGTH}}}))?",
    re.ASCII,
)
DATABASE_ALIAS = re.compile(rf"\w{{1,{ALIAS_LENGTH}}}", re.ASCII)
# What a stock RQ worker would call; it refuses, so that nothing runs outside our own worker.
MESSAGE_FUNCTION = "jobqueue.broker.message.refuse_message"
DEFAULT_DATABASE = "default"


class Entry(NamedTuple):
    """What the scripts are given of a message that is to be queued, in RQ's words."""

    queue: str
    id: str
    data: str
    description: str
    timeout: int


class Message(NamedTuple):
    """What Redis carries of a job: where it waits and which attempt it starts."""

    queue: str
    job_id: int
    attempt: int
    using: str = DEFAULT_DATABASE
    description: str = ""
    timeout: float = 180.0

    @property
    def id(self) -> str:
        """`<job id>-<attempt>`, with the database's alias behind it where that is not the default."""
        if self.using == DEFAULT_DATABASE:
            return f"{self.job_id}-{self.attempt}"
        return f"{self.job_id}-{self.attempt}-{self.using}"

    @classmethod
    def parse(cls, queue: str, message_id: str) -> Message:
        """The message with this id; ValueError if it is none of ours."""
        match = MESSAGE_ID.fullmatch(message_id)
        if match is None or int(match["job"]) > MOST_JOBS:
            raise ValueError(f"{message_id!r} is no message id")
        job_id, attempt, using = match.groups()
        return cls(queue, int(job_id), int(attempt), using or DEFAULT_DATABASE)

    def entry(self) -> Entry:
        """What the queued message is to RQ's tools."""
        data = f'["{MESSAGE_FUNCTION}", null, [{self.job_id}, {self.attempt}], {{}}]'
        return Entry(self.queue, self.id, data, self.description, max(1, int(self.timeout)))


def refuse_message(job_id: int, attempt: int) -> None:
    """What a worker that is not ours would call: it must not run the job, so it only says so."""
    raise JobQueueError(
        f"job {job_id} attempt {attempt} runs only in jobqueue's own worker: manage.py rqworker"
    )
