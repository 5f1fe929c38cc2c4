"""Which workers use a database of Redis, and the warning that some of them belong to another installation."""

from __future__ import annotations

from typing import NamedTuple

from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys, scripts
from jobqueue.broker.answers import text_of
from jobqueue.broker.connections import answers_of, as_unavailable, clients, on_each
from jobqueue.broker.scripts import Script

_ANNOUNCE = Script("announce", "member", "keep")
_KEEP = 60
_LONGEST = 200
_WARNING_LASTS = 60


class Heard(NamedTuple):
    """A sign of life of a worker, on one server."""

    id: str
    """The id of its row, as hexadecimal digits; or what somebody else wrote there."""
    description: str
    """What it says of itself."""
    moment: float
    """When, in seconds, by the server's clock."""


def announce(worker_id: str, description: str) -> list[Heard]:
    """Say on every server that this worker lives; what all others said there in the last minute."""

    def say(client: Redis) -> list[Heard]:
        member = f"{worker_id} {description[:_LONGEST]}"
        answer = scripts.run(client, _ANNOUNCE, member=member, keep=_KEEP)
        pairs = zip(answer[::2], answer[1::2], strict=True)
        return [_heard(text_of(text), float(moment)) for text, moment in pairs]

    return [one for one in answers_of(clients("work"), say) if one.id != worker_id]


def warn(text: str) -> None:
    """Leave a warning on every server, for a minute: the pages of all installations show it."""
    on_each(
        clients("work"), lambda client: bool(client.set(keys.PATTERNS["shared"], text, ex=_WARNING_LASTS))
    )


def warning(purpose: str = "probe") -> str:
    """What was warned of within the last minute, empty if nothing was. Only reads."""
    with as_unavailable():
        return next((text for client in clients(purpose) if (text := _warning(client))), "")


def _heard(text: str, moment: float) -> Heard:
    worker_id, _space, description = text.partition(" ")
    return Heard(worker_id, _printable(description), moment)


def _warning(client: Redis) -> str:
    name = keys.PATTERNS["shared"]
    try:
        # A warning that never ends is none of ours.
        text = client.get(name) if 0 <= int(client.ttl(name)) <= _WARNING_LASTS else None
    except ResponseError:
        return ""
    return _printable(text_of(text or b""), 5 * _LONGEST)


def _printable(text: str, longest: int = _LONGEST) -> str:
    return "".join(letter for letter in text[:longest] if letter.isprintable())
