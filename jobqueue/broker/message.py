"""What Redis carries of a job: its message, whose id is `<job id>-<attempt>`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jobqueue.exceptions import JobQueueError

# As claim.lua knows it. No more digits than a row's numbers can have, and never RQ's own UUIDs.
MESSAGE_ID = re.compile(r"(?P<job>\d{1,18})-(?P<attempt>\d{1,9})(?:-(?P<database>\w{1,64}))?", re.ASCII)
DATABASE_ALIAS = re.compile(r"\w{1,64}", re.ASCII)
# What a stock RQ worker would call; it refuses, so that nothing runs outside our own worker.
MESSAGE_FUNCTION = "jobqueue.broker.message.refuse_message"
DEFAULT_DATABASE = "default"


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
        if match is None:
            raise ValueError(f"{message_id!r} is no message id")
        job_id, attempt, using = match.groups()
        return cls(queue, int(job_id), int(attempt), using or DEFAULT_DATABASE)


def foreign_id(message: bytes | str) -> str:
    # An id that is no text must still be found again.
    return message.decode("utf-8", "surrogateescape") if isinstance(message, bytes) else message


def text_of(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def in_pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def refuse_message(job_id: int, attempt: int) -> None:
    """What a worker that is not ours would call: it must not run the job, so it only says so."""
    raise JobQueueError(
        f"job {job_id} attempt {attempt} runs only in jobqueue's own worker: manage.py rqworker"
    )
