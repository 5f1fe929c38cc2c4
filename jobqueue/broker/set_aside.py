"""What is set aside in Redis: foreign messages that are not run, and keys that somebody else wrote to.

Nothing of it is deleted. A message stays in RQ's failed registry, a key is renamed; a note says what it was
and why. The scripts set keys aside themselves (`lua/prelude.lua`) when a command fails on them, and go on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys, scripts
from jobqueue.broker.answers import id_of, text_of
from jobqueue.broker.connections import as_unavailable, clients, on_each
from jobqueue.broker.scripts import Script

_MOST_LOOKED_AT = 100
_FORGET_GONE = Script("forget_gone", "most")
_PUT_BACK = {
    "message": Script("put_message_back", "name"),
    "key": Script("put_key_back", "name"),
}


@dataclass(frozen=True, slots=True)
class SetAside:
    """One message or key that was set aside."""

    kind: str
    """"message" or "key"."""
    name: str
    """By which `put_back` finds it: plain ASCII, which names nobody."""
    queue: str
    """Empty where it belongs to no queue."""
    reason: str
    since: datetime
    content: str
    """What it was, in a few words; nothing of what stands in it."""
    score: float = 0.0
    """Its place among those of its kind, with its name: when it was set aside, in seconds."""


def listed(client: Redis, limit: int = 200) -> list[SetAside]:
    """What is set aside on one server, the latest first, at most so many of each kind.

    Raises BrokerUnavailable.
    """
    found = [known for kind in keys.ASIDE_KINDS for known in _listed(client, kind, limit)]
    return sorted(found, key=lambda known: known.since, reverse=True)[:limit]


def beside(
    client: Redis, kind: str, place: tuple[float, str] | None, most: int, *, backwards: bool = False
) -> list[SetAside]:
    """So many of a kind behind a score and name, or before it, the nearest first; from an end without one.

    The latest stand first. Where what the place names is gone, what has its score may be seen twice.
    Raises BrokerUnavailable.
    """
    names = keys.aside_names(kind)
    if place is None:
        rank = int(_ask(client, 0, "ZCARD", names)) if backwards else 0
        return _ranked(client, kind, rank, most, backwards=backwards)
    known = _ask(client, None, "ZREVRANK", names, place[1])
    rank = int(_ask(client, 0, "ZCOUNT", names, f"({place[0]!r}", "+inf")) if known is None else int(known)
    first = rank if backwards or known is None else rank + 1
    return _ranked(client, kind, first, most, backwards=backwards)


def _ranked(client: Redis, kind: str, rank: int, most: int, *, backwards: bool) -> list[SetAside]:
    """So many from a rank on, or before it."""
    if not backwards:
        return _listed(client, kind, most, rank)
    first = max(0, rank - most)
    return _listed(client, kind, rank - first, first)[::-1]


def counted(client: Redis) -> dict[str, int]:
    """How much is set aside on one server, by kind; in a time that does not grow with it.

    Raises BrokerUnavailable.
    """
    return {kind: int(_ask(client, 0, "ZCARD", keys.aside_names(kind))) for kind in keys.ASIDE_KINDS}


def put_back(client: Redis, kind: str, name: str) -> str:
    """Put it back where it was: a message on its queue, where it is judged anew. Empty, or why not.

    Raises BrokerUnavailable.
    """
    if kind not in _PUT_BACK:
        return f"Only {' and '.join(_PUT_BACK)} can be put back here, not {kind!r}."
    with as_unavailable():
        return text_of(scripts.run(client, _PUT_BACK[kind], name=name))


def forget_gone() -> int:
    """Forget messages that are not in quarantine any more: RQ's tools took them, or a year is over.

    A worker calls it again and again; each call looks at some of them. Returns how many went.
    """
    return on_each(
        clients("work"), lambda client: int(scripts.run(client, _FORGET_GONE, most=_MOST_LOOKED_AT))
    )


def _listed(client: Redis, kind: str, limit: int, first: int = 0) -> list[SetAside]:
    if limit <= 0:
        return []
    with_scores: Sequence[Any] = _ask(
        client, [], "ZREVRANGE", keys.aside_names(kind), first, first + limit - 1, "WITHSCORES"
    )
    if not with_scores:
        return []
    # By the older protocol names and scores stand in turn.
    is_paired = isinstance(with_scores[0], list | tuple)
    pairs = with_scores if is_paired else list(zip(with_scores[::2], with_scores[1::2], strict=True))
    names = [text_of(name) for name, _score in pairs]
    fields = [keys.aside_note(kind, name) for name in names]
    answers = _ask(client, [None] * len(names), "HMGET", keys.PATTERNS["aside_notes"], *fields)
    return [
        _known(kind, name, _read(note), float(pair[1]))
        for name, note, pair in zip(names, answers, pairs, strict=True)
    ]


def _ask(client: Redis, otherwise: Any, *command: Any) -> Any:
    """The answer to a command that reads; `otherwise` if somebody wrote to the notes themselves."""
    with as_unavailable():
        try:
            return client.execute_command(*command)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            return otherwise


def _read(note: bytes | str | None) -> dict[str, Any]:
    try:
        about = json.loads(id_of(note or ""))
    except (ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def _known(kind: str, name: str, about: dict[str, Any], score: float) -> SetAside:
    return SetAside(
        kind,
        name,
        _shown(about.get("queue")) or _queue_of(_shown(about.get("key"))),
        _shown(about.get("reason")) or "unknown: the note about it is lost",
        _moment(about.get("since")),
        _shown(about.get("content")),
        score,
    )


def _shown(value: Any) -> str:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _queue_of(key: str) -> str:
    """The queue that a key belongs to; empty if that does not tell."""
    prefixes: Sequence[str] = keys.prefixes_of_queues()
    return next((key.removeprefix(prefix) for prefix in prefixes if key.startswith(prefix)), "")
