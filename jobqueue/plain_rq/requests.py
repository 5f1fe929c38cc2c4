"""Reads what plain RQ asks for: nothing is unpickled or imported, and what is odd is refused by name."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass
from typing import Any

from jobqueue.broker import foreign
from jobqueue.conf import get_settings
from jobqueue.exceptions import InvalidPayload
from jobqueue.payloads import check_payload

# The ids that RQ itself takes, as far as they fit into a subject and a unique key.
_ID = re.compile(r"[\w-]{1,120}", re.ASCII)
_LONGEST_TIME_LIMIT = 7 * 24 * 3600
# RQ's JSON spells a character of up to four bytes with up to twelve.
_LONGEST_SPELLING = 6
# RQ's own share of the data: the name of the function, brackets.
_ENVELOPE = 1024


class Refused(Exception):
    """A foreign message stays in quarantine, for this reason."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that plain RQ asked for, read and found well-formed."""

    queue: str
    payload: dict[str, Any]
    timeout: float

    @property
    def subject(self) -> str:
        """What all runs of this RQ job are found by."""
        return f"rq.job:{self.payload['rq_job_id']}"


def read(queue: str, message_id: str) -> Request:
    """What a foreign message asks for; Refused if it is nothing that could be run here."""
    longest = _LONGEST_SPELLING * get_settings().payload_limit + _ENVELOPE
    message = foreign.read(queue, message_id, longest)
    if message is None:
        raise Refused("it is no job of RQ's, or too large a one")
    if not _ID.fullmatch(message.id):
        raise Refused("its id is none that RQ gives")
    if message.extras:
        raise Refused(f"it asks for {', '.join(message.extras)}, which only RQ's own worker and scheduler do")
    function, args, kwargs = _call(_decompressed(message.data, longest))
    payload = {
        "function": function,
        "args": args,
        "kwargs": kwargs,
        "rq_job_id": message.id,
        "enqueued_at": message.enqueued_at,
    }
    try:
        check_payload(payload)
    except InvalidPayload as error:
        raise Refused(str(error)) from None
    return Request(queue, payload, _time_limit(message.timeout))


def _decompressed(data: bytes, longest: int) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(data, longest + 1)
    except zlib.error:
        return data  # RQ takes data that is not compressed as it is
    if len(text) > longest:
        raise Refused("its data is too large")
    if not decompressor.eof or decompressor.unused_data:
        raise Refused("its data is damaged")
    return text


def _call(data: bytes) -> tuple[str, list[Any], dict[str, Any]]:
    try:
        call = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise Refused(
            "its data is no JSON, and nothing else is ever loaded; RQ writes JSON with the SERIALIZER "
            "rq.serializers.JSONSerializer in RQ_QUEUES"
        ) from None
    match call:
        case [str(function), None, list(args), dict(kwargs)]:
            return function, args, kwargs
        case [str(), _, list(), dict()]:
            raise Refused("it calls a method of an instance")
    raise Refused("its data is no call of a function")


def _time_limit(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    return seconds if 0 < seconds <= _LONGEST_TIME_LIMIT else get_settings().timeout
