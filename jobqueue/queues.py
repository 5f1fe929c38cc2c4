"""The only file that talks to RQ and Redis: publish, claim, finish, quarantine, count, ping.

Redis carries `(job id, attempt)` as an RQ job whose id is the message id, so RQ's own tools show
what is queued and what runs. Nothing read from Redis is ever unpickled, and nothing is imported or called
but functions that the settings allow by name (see `foreign`).
"""

from __future__ import annotations

import logging
import re
import select
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1
from importlib import resources
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django_rq.connection_utils import get_redis_connection
from redis import Redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_RESULT_TTL, RQ_KEY_PREFIX

from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable

logger = logging.getLogger("jobqueue.queues")

# As claim.lua knows it. No more digits than a row's numbers can have, and never RQ's own UUIDs.
MESSAGE_ID = re.compile(r"(?P<job>\d{1,18})-(?P<attempt>\d{1,9})(?:-(?P<database>\w{1,64}))?", re.ASCII)
DATABASE_ALIAS = re.compile(r"\w{1,64}", re.ASCII)
# What a stock RQ worker would call; it refuses, so that nothing runs outside our own worker.
MESSAGE_FUNCTION = "jobqueue.execution.refuse_message"
DEFAULT_DATABASE = "default"
KEEP_FINISHED = 60
_BATCH = 1000
# Bytes that a batch of messages may take: with less, Redis counts as full.
_ROOM_FOR_MESSAGES = 64 * 1024
# A Redis that evicts keys stays close below its limit: it counts as full in the last twentieth.
_NEARLY_FULL = 20
# A save writes a few jobs; with more than these the caller enqueues in bulk, and Redis gets longer.
_FEW = 50
_MANY_TIMES = 25
# Milliseconds for which a start counts against a rate limit, as claim.lua knows it.
_RATE_WINDOW = 1100
MOST_RATE = 10_000
"""The highest rate limit: Redis keeps the time of so many starts."""
# The name of the bell that the leading relay listens to.
RELAY = "relay"
# Seconds after which Redis answers a blocking pop in any case, so that a dead connection is noticed.
_BELL_ANSWERS_WITHIN = 10


class Message(NamedTuple):
    """What Redis carries of a job: where it waits and which attempt it starts."""

    queue: str
    job_id: int
    attempt: int
    database: str = DEFAULT_DATABASE
    description: str = ""
    timeout: float = 180.0

    @property
    def id(self) -> str:
        """`<job id>-<attempt>`, with the database's alias behind it where that is not the default."""
        if self.database == DEFAULT_DATABASE:
            return f"{self.job_id}-{self.attempt}"
        return f"{self.job_id}-{self.attempt}-{self.database}"

    @classmethod
    def parse(cls, queue: str, message_id: str) -> Message:
        """The message with this id; ValueError if it is none of ours."""
        match = MESSAGE_ID.fullmatch(message_id)
        if match is None:
            raise ValueError(f"{message_id!r} is no message id")
        job_id, attempt, database = match.groups()
        return cls(queue, int(job_id), int(attempt), database or DEFAULT_DATABASE)


class ForeignMessage(NamedTuple):
    """What plain RQ put on a queue, as it stands in Redis: not decoded, not believed."""

    queue: str
    id: str
    enqueued_at: str
    """When RQ enqueued it: a job that is enqueued anew has the same id and another time."""
    data: bytes
    timeout: str
    extras: tuple[str, ...]
    """What RQ's worker would have to do besides calling the function."""


class QueueLimits(NamedTuple):
    """What holds messages of one queue back, in all workers together; None is no limit."""

    rate: int | None = None
    """Starts within any second."""
    concurrency: int | None = None
    """Jobs that run at once."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim took from Redis. `pause`: seconds until a rate limit lets the next message go."""

    messages: list[Message]
    quarantined: list[tuple[str, str]]
    """`(queue, message id)` of foreign ones, which are to be looked after."""
    pause: float | None = None


_MOST_FOR_SELECT = 1024
_UNLIMITED: Mapping[str, QueueLimits] = {}
_NO_LIMITS = QueueLimits()


# Connections --------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _client(config_text: str, purpose: str) -> Redis:
    config = _configs()[config_text]
    settings = get_settings()
    client: Redis = get_redis_connection(config)
    if purpose in ("publish", "publish many"):
        # A save waits for this: no second try, the relay is the second try. Redis needs longer for many.
        answer_timeout = settings.publish_timeout * (1 if purpose == "publish" else _MANY_TIMES)
        limits: dict[str, Any] = {
            "socket_timeout": answer_timeout,
            "socket_connect_timeout": settings.publish_timeout,
            "retry": Retry(NoBackoff(), 0),
        }
    elif purpose == "probe":
        limits = {
            "socket_timeout": settings.health_timeout / 2,
            "socket_connect_timeout": settings.health_timeout / 2,
            "retry": Retry(NoBackoff(), 0),
        }
    else:
        limits = {
            "socket_timeout": settings.redis_timeout,
            "socket_connect_timeout": settings.redis_timeout,
            "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
            "health_check_interval": 30,
        }
    client.connection_pool.connection_kwargs.update(limits)
    client.set_retry(limits["retry"])
    return client


def _configs() -> dict[str, dict[str, Any]]:
    return {_config_text(config): config for config in django_settings.RQ_QUEUES.values()}


# What of a queue's settings is about the queue and not about its Redis.
_QUEUE_KEYS = frozenset({"ASYNC", "DEFAULT_TIMEOUT", "DEFAULT_RESULT_TTL", "QUEUE_CLASS", "SERIALIZER"})


def _config_text(config: Mapping[str, Any]) -> str:
    return repr(sorted((key, value) for key, value in config.items() if key not in _QUEUE_KEYS))


@lru_cache(maxsize=256)
def client_for(queue: str, purpose: str = "work") -> Redis:
    """The Redis client of a queue for a purpose: "work", "publish", "publish many" or "probe" (health)."""
    return _client(_config_text(django_settings.RQ_QUEUES[queue]), purpose)


def _clients(purpose: str) -> list[Redis]:
    return [_client(text, purpose) for text in _configs()]


def _forget_clients(*, setting: str, **_: Any) -> None:
    if setting in ("RQ_QUEUES", "JOBQUEUE"):
        _client.cache_clear()
        client_for.cache_clear()
        _circuit.close()


setting_changed.connect(_forget_clients, dispatch_uid="jobqueue.queues")


@lru_cache(maxsize=16)
def _script(name: str) -> str:
    return resources.files("jobqueue").joinpath("lua", f"{name}.lua").read_text()


@lru_cache(maxsize=16)
def _sha(name: str) -> str:
    return sha1(_script(name).encode(), usedforsecurity=False).hexdigest()


def _run(client: Redis, name: str, *arguments: Any) -> Any:
    """Run a script, with the client's tries, on a connection of its pool.

    The client's own way there takes 0.06 ms longer from an idle start, and a lone job waits for two scripts.
    """
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        return connection.retry.call_with_retry(
            lambda: _ask(connection, name, arguments), lambda _error: connection.disconnect()
        )
    except ResponseError:
        raise
    except BaseException:
        # Whoever gets it next must not read this answer.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _ask(connection: Any, name: str, arguments: Sequence[Any]) -> Any:
    command = ("EVALSHA", _sha(name), 0, RQ_KEY_PREFIX, *arguments)
    connection.send_command(*command)
    try:
        return connection.read_response()
    except NoScriptError:
        connection.send_command("SCRIPT", "LOAD", _script(name))
        connection.read_response()
    connection.send_command(*command)
    return connection.read_response()


def _rq_now() -> str:
    """Now as RQ writes it; its own function takes 0.02 ms longer from an idle start."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error


# Publish ------------------------------------------------------------------------------------------


class _Circuit:
    """After Redis failed to answer a save, saves leave it alone for a moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def open(self) -> None:
        with self._lock:
            self._open_until = time.monotonic() + get_settings().publish_pause

    def close(self) -> None:
        self._open_until = 0.0


_circuit = _Circuit()


def publish(messages: Sequence[Message], *, hurry: bool = False, only_new: bool = False) -> int:
    """Push messages to their queues; what is queued already is left alone. Returns how many were new.

    With `only_new` also what a worker took already is left alone, as long as Redis knows of it.

    With `hurry` (a user waits) Redis gets `PUBLISH_TIMEOUT` to connect and to answer, and none at
    all shortly after it failed. Raises BrokerUnavailable; what was pushed by then stays, harmlessly.
    """
    if hurry and _circuit.is_open:
        raise BrokerUnavailable("Redis did not answer a moment ago")
    now = _rq_now()
    purpose = "work" if not hurry else "publish" if len(messages) <= _FEW else "publish many"
    by_client: dict[int, tuple[Redis, list[Any]]] = {}
    for message in messages:
        client = client_for(message.queue, purpose)
        arguments = by_client.setdefault(id(client), (client, []))[1]
        data = f'["{MESSAGE_FUNCTION}", null, [{message.job_id}, {message.attempt}], {{}}]'
        arguments += [message.queue, message.id, data, message.description, max(1, int(message.timeout))]
    pushed = 0
    which = "new" if only_new else "any"
    try:
        with _as_unavailable():
            for client, arguments in by_client.values():
                for start in range(0, len(arguments), 5 * _BATCH):
                    pushed += _run(client, "publish", now, which, *arguments[start : start + 5 * _BATCH])
    except BrokerUnavailable:
        if hurry:
            _circuit.open()
        raise
    return pushed


# Claim and finish ---------------------------------------------------------------------------------


def claim(
    queues: Sequence[str],
    count: int,
    worker_id: str,
    worker_name: str,
    limits: Mapping[str, QueueLimits] = _UNLIMITED,
    free: int | None = None,
) -> Claimed:
    """Take up to `count` messages, queues in order of priority. Foreign messages are quarantined at once,
    and noted in Redis until somebody has looked after them.

    `free` of them can start at once. Beyond these at most half of what waits is taken, for another worker may
    be idle; and none of a queue with a limit, so that what counts as started does start.
    """
    if not queues or count < 1:
        return Claimed([], [])
    client = client_for(queues[0])
    described: list[Any] = []
    for queue in queues:
        limit = limits.get(queue, _NO_LIMITS)
        described += [queue, *(-1 if value is None else value for value in limit)]
    at_once = count if free is None else free
    with _as_unavailable():
        ours, foreign, pause = _run(
            client, "claim", count, at_once, worker_id, worker_name, _rq_now(), *described
        )
    messages = [Message.parse(_text(queue), _text(message)) for queue, message in _in_pairs(ours)]
    quarantined = [(_text(queue), _foreign_id(message)) for queue, message in _in_pairs(foreign)]
    return Claimed(messages, quarantined, None if pause < 0 else pause / 1000)


def count_late_starts(starts: Mapping[str, tuple[int, int]]) -> None:
    """Let rate limits count jobs from now that were claimed a while ago: (number, rate limit) by queue."""
    with _as_unavailable():
        for queue, (number, rate) in starts.items():
            _run(client_for(queue), "late_starts", queue, number, rate)


def put_back(messages: Sequence[Message], worker_id: str) -> None:
    """Put messages that were claimed in vain back at the front of their queues."""
    by_queue: dict[str, list[str]] = {}
    for message in messages:
        by_queue.setdefault(message.queue, []).append(message.id)
    with _as_unavailable():
        for queue, ids in by_queue.items():
            _run(client_for(queue), "put_back", queue, worker_id, *ids)


def readable(files: Sequence[Any], timeout: float) -> set[int]:
    """Those of these files, by number, that can be read within so many seconds.

    `select` waits to the microsecond and `poll` to the millisecond, but only `poll` takes numbers above 1023,
    which a process gets whose jobs leave files open.
    """
    numbers = [file if isinstance(file, int) else file.fileno() for file in files]
    if max(numbers) < _MOST_FOR_SELECT:
        return set(select.select(numbers, [], [], max(0.0, timeout))[0])
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN)
    return {number for number, _event in poll.poll(1000 * max(0.0, timeout))}


class Bell:
    """Waits for a bell in Redis without polling, and can be left at any moment.

    A blocking pop stands open on a connection of its own; the wait is for an answer on its socket. So the
    time-out is this process's own, to the microsecond: Redis wakes blocked clients only ten times a second.
    Not safe for several threads.
    """

    def __init__(self, names: Sequence[str], *, queue: str | None = None) -> None:
        self.names = tuple(names)
        self._keys = [_bell(name) for name in names]
        self._client = client_for(queue or names[0])
        self._connection: Any = None
        self._armed_at = 0.0

    def wait(self, timeout: float, wake: int) -> bool:
        """Return at the latest after `timeout` seconds, or once `wake`, a file, can be read. Did it ring?"""
        with _as_unavailable():
            try:
                if self._connection is None:
                    self._arm()
                return self._wait(timeout, wake)
            except BaseException:
                self.leave()
                raise

    def leave(self) -> None:
        """Stop listening: Redis gives the next ring to somebody else."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _arm(self) -> None:
        self._connection = self._client.connection_pool.get_connection()
        self._connection.send_command("BLPOP", *self._keys, _BELL_ANSWERS_WITHIN)
        self._armed_at = time.monotonic()

    def _wait(self, timeout: float, wake: int) -> bool:
        connection = self._connection
        if connection._sock.fileno() in readable([connection._sock, wake], timeout):
            answer = connection.read_response()
            self._connection = None
            self._client.connection_pool.release(connection)
            return answer is not None
        overdue = time.monotonic() - self._armed_at - _BELL_ANSWERS_WITHIN
        if overdue > get_settings().redis_timeout:
            raise TimeoutError("Redis does not answer a blocking pop")
        return False


def _bell(name: str) -> str:
    return f"{RQ_KEY_PREFIX}:jobqueue:bell:{name}"


def relay_bell() -> Bell:
    """The bell that the leading relay listens to."""
    return Bell([RELAY], queue=next(iter(django_settings.RQ_QUEUES)))


def ring_relay(*, hurry: bool = False) -> None:
    """Wake the relay that leads: there is a job with a near time that it may not know of yet."""
    if hurry and _circuit.is_open:
        raise BrokerUnavailable("Redis did not answer a moment ago")
    try:
        with _as_unavailable(), _clients("publish")[0].pipeline(transaction=False) as pipeline:
            # One token is enough, and a list that nobody empties must not grow.
            pipeline.lpush(_bell(RELAY), 1)
            pipeline.ltrim(_bell(RELAY), 0, 0)
            pipeline.execute()
    except BrokerUnavailable:
        if hurry:
            _circuit.open()
        raise


def lead(candidate: str, lease: float) -> bool:
    """Take or keep the lead among the relays for `lease` seconds; 0 gives it up. Whether it was got."""
    with _as_unavailable():
        return bool(_run(_clients("work")[0], "lead", candidate, int(lease * 1000)))


def finish(
    settled: Iterable[tuple[Message, bool]],
    worker_id: str,
    counters: Mapping[str, float] | None = None,
    batch_id: str | None = None,
) -> None:
    """Forget settled messages (True: keep it as finished for RQ's tools) and add to the counters.

    Safe to repeat with the same `batch_id`: a batch counts once.
    """
    by_client: dict[int, tuple[Redis, dict[str, tuple[list[str], list[str]]]]] = {}
    for message, finished in settled:
        client = client_for(message.queue)
        by_queue = by_client.setdefault(id(client), (client, {}))[1]
        by_queue.setdefault(message.queue, ([], []))[0 if finished else 1].append(message.id)
    if not by_client and counters:
        client = _clients("work")[0]
        by_client[id(client)] = (client, {})
    left = [item for pair in (counters or {}).items() for item in pair]
    batch = batch_id or uuid.uuid4().hex
    with _as_unavailable():
        for number, (client, by_queue) in enumerate(by_client.values()):
            arguments: list[Any] = []
            for queue, (done, others) in by_queue.items():
                arguments += [queue, len(done), len(others), *done, *others]
            _run(
                client,
                "finish",
                f"{batch}-{number}",
                int(time.time()),
                KEEP_FINISHED,
                worker_id,
                len(by_queue),
                *arguments,
                *left,
            )
            left = []


def unknown(messages: Sequence[Message], living_workers: Sequence[str]) -> list[Message]:
    """Those messages that Redis knows neither as queued nor as started by a living worker just now.

    They are asked for by rows that still wait: a worker that took such a message LOST_AFTER ago or earlier
    does not know of it, because the answer to its claim was lost.
    """
    by_client: dict[int, tuple[Redis, list[Message]]] = {}
    for message in messages:
        client = client_for(message.queue)
        by_client.setdefault(id(client), (client, []))[1].append(message)
    lost: list[Message] = []
    lost_after = get_settings().lost_after
    with _as_unavailable():
        for client, group in by_client.values():
            pairs = [text for message in group for text in (message.queue, message.id)]
            answer = {
                _text(item)
                for item in _run(client, "unknown", lost_after, len(living_workers), *living_workers, *pairs)
            }
            lost += [message for message in group if message.id in answer]
    return lost


def forget_worker(worker_id: str) -> int:
    """Remove what a lost worker left in RQ's started registries. Returns how many entries went."""
    removed = 0
    with _as_unavailable():
        for queue in django_settings.RQ_QUEUES:
            client, key = client_for(queue), f"{RQ_KEY_PREFIX}:wip:{queue}"
            entries = [entry for entry, _ in client.zscan_iter(key, match=f"*:{worker_id}", count=1000)]
            if entries:
                removed += client.zrem(key, *entries)
    return removed


def started(patience: float, interval: float) -> list[tuple[str, str]]:
    """The `(queue, entry)` pairs of RQ's started registries that were claimed `patience` seconds ago.

    Only one caller in `interval` seconds gets them.
    """
    by_client: dict[int, tuple[Redis, list[str]]] = {}
    for queue in django_settings.RQ_QUEUES:
        client = client_for(queue)
        by_client.setdefault(id(client), (client, []))[1].append(queue)
    with _as_unavailable():
        return [
            (_text(queue), _text(entry))
            for client, names in by_client.values()
            for queue, entry in _in_pairs(_run(client, "started", patience, interval, *names))
        ]


def forget_started(entries: Sequence[tuple[str, str]]) -> int:
    """Remove these `(queue, entry)` pairs from RQ's started registries. Returns how many there were."""
    with _as_unavailable():
        return sum(
            int(client_for(queue).zrem(f"{RQ_KEY_PREFIX}:wip:{queue}", entry)) for queue, entry in entries
        )


# Foreign messages ---------------------------------------------------------------------------------

# What RQ's own worker would do besides calling the function, by the field of the job's hash.
_EXTRAS = {
    "success_callback_name": "a callback",
    "failure_callback_name": "a callback",
    "stopped_callback_name": "a callback",
    "webhooks": "webhooks",
    "repeats_left": "repetitions",
    "rate_limit_key": "a rate limit of RQ's",
}
_LONGEST_FIELD = 50


def read_foreign(queue: str, message_id: str, longest: int) -> ForeignMessage | None:
    """What RQ wrote of this job; None if there is no job, or its data has more than `longest` bytes."""
    client, key = client_for(queue), _job_key(message_id)
    with _as_unavailable():
        if _text(client.type(key)) != "hash":
            return None
        with client.pipeline(transaction=False) as pipeline:
            for field in ("data", "enqueued_at", "timeout", *_EXTRAS):
                pipeline.hstrlen(key, field)
            pipeline.exists(key + b":dependents")
            data, enqueued_at, timeout, *extras, dependents = pipeline.execute()
        if data > longest or max(enqueued_at, timeout) > _LONGEST_FIELD:
            return None
        values = client.hmget(key, ["data", "enqueued_at", "timeout"])
    asked = {name for name, size in zip(_EXTRAS.values(), extras, strict=True) if size}
    if dependents:
        asked.add("jobs that depend on it")
    raw, moment, limit = (value.encode() if isinstance(value, str) else value or b"" for value in values)
    return ForeignMessage(queue, message_id, _text(moment), raw, _text(limit), tuple(sorted(asked)))


def explain_quarantine(queue: str, message_id: str, why: str) -> None:
    """Leave a foreign message in RQ's failed registry for good, and say there why it was not run."""
    text = (
        f"Quarantined: the message {message_id[:100]!r} on queue {queue!r} was not published by jobqueue "
        "and was not run. Enqueue jobs with jobqueue.jobs.enqueue(). Of plain RQ's jobs only those run whose "
        f'function JOBQUEUE["ALLOWED_FUNCTIONS"] names. This one does not, because {why}.'
    )
    client = client_for(queue)
    with _as_unavailable():
        try:
            fields: dict[Any, Any] = {"status": "failed", "origin": queue, "exc_info": text}
            client.hset(_job_key(message_id), mapping=fields)
        except ResponseError as error:
            # A key of another type under that name must not stop the worker.
            logger.warning("could not mark the quarantined message: %s", type(error).__name__)
        client.zrem(f"{RQ_KEY_PREFIX}:jobqueue:foreign:{queue}", _raw_id(message_id))
    logger.error(text)


def report_adopted(queue: str, message_id: str, enqueued_at: str, status: str, text: str = "") -> bool:
    """Say in RQ's words how an adopted job stands: "started", "finished", "failed" or "canceled".

    False if there is nothing to say it about: RQ forgot the job, or enqueued it anew since, or it ended
    already and would be said to have started.
    """
    with _as_unavailable():
        return bool(
            _run(
                client_for(queue),
                "report_adopted",
                queue,
                _raw_id(message_id),
                enqueued_at,
                status,
                _rq_now(),
                DEFAULT_RESULT_TTL,
                DEFAULT_FAILURE_TTL,
                text,
            )
        )


def foreign_to_look_after(most: int) -> list[tuple[str, str]]:
    """Foreign messages, `(queue, message id)`, whose time to be looked after has come.

    They come again after a while, unless they ended or stay in quarantine.
    """
    found: list[tuple[str, str]] = []
    by_client: dict[int, tuple[Redis, list[str]]] = {}
    for queue in django_settings.RQ_QUEUES:
        client = client_for(queue)
        by_client.setdefault(id(client), (client, []))[1].append(queue)
    with _as_unavailable():
        for client, names in by_client.values():
            answer = _run(client, "foreign_due", most, *names)
            found += [(_text(queue), _foreign_id(message)) for queue, message in _in_pairs(answer)]
    return found


def _job_key(message_id: str) -> bytes:
    return f"{RQ_KEY_PREFIX}:job:".encode() + _raw_id(message_id)


def _foreign_id(message: bytes | str) -> str:
    # An id that is no text must still be found again.
    return message.decode("utf-8", "surrogateescape") if isinstance(message, bytes) else message


def _raw_id(message_id: str) -> bytes:
    return message_id.encode("utf-8", "surrogateescape")


# Read ---------------------------------------------------------------------------------------------


def counters(purpose: str = "work") -> dict[str, float]:
    """All counters, summed over the Redis servers in use."""
    total: dict[str, float] = defaultdict(float)
    with _as_unavailable():
        for client in _clients(purpose):
            for field, value in client.hgetall(f"{RQ_KEY_PREFIX}:jobqueue:counters").items():
                total[_text(field)] += float(value)
    return dict(total)


def depths(purpose: str = "work") -> dict[str, int]:
    """Messages queued in Redis by queue."""
    with _as_unavailable():
        return {
            queue: int(client_for(queue, purpose).llen(f"{RQ_KEY_PREFIX}:queue:{queue}"))
            for queue in django_settings.RQ_QUEUES
        }


def is_rate_used_up(queue: str, rate: int, purpose: str = "probe") -> bool:
    """Whether a rate limit lets no job of this queue start at this moment."""
    with _as_unavailable():
        client = client_for(queue, purpose)
        oldest = client.lindex(f"{RQ_KEY_PREFIX}:jobqueue:starts:{queue}", rate - 1) if rate else None
        seconds, microseconds = client.time()
    if oldest is None:
        return rate == 0
    return int(oldest) + _RATE_WINDOW > seconds * 1000 + microseconds // 1000


def ping(purpose: str = "probe") -> None:
    """Return when every Redis server answers; BrokerUnavailable when one does not."""
    with _as_unavailable():
        for client in _clients(purpose):
            client.ping()


def check_writable(purpose: str = "probe") -> None:
    """Return when every Redis server takes messages and keeps them; BrokerUnavailable with the reason if not.

    Redis is only asked about itself, nothing is written. A server that does not tell passes.
    """
    with _as_unavailable():
        for client in _clients(purpose):
            trouble = _trouble(client, _info(client))
            if trouble:
                raise BrokerUnavailable(trouble)


def eviction_policies(purpose: str = "probe") -> set[str]:
    """The `maxmemory-policy` of the Redis servers in use, as far as they tell."""
    with _as_unavailable():
        return {str(_info(client).get("maxmemory_policy", "")) for client in _clients(purpose)} - {""}


def _info(client: Redis) -> dict[str, Any]:
    """What a server says about its memory, its replication and its disk; nothing if it does not tell."""
    with client.pipeline(transaction=False) as pipeline:
        for section in ("memory", "replication", "persistence"):
            pipeline.info(section)
        answers = pipeline.execute(raise_on_error=False)
    return {name: value for answer in answers if isinstance(answer, dict) for name, value in answer.items()}


def _trouble(client: Redis, info: Mapping[str, Any]) -> str:
    """Why this server refuses messages, or throws them away; empty if it does not."""
    if info.get("role") == "slave" and info.get("slave_read_only"):
        return "Redis is a read-only replica"
    if info.get("aof_enabled") and info.get("aof_last_write_status") == "err":
        return "Redis cannot write its append-only file and refuses writes"
    return _memory_trouble(info) or _configured_trouble(client, info)


def _memory_trouble(info: Mapping[str, Any]) -> str:
    limit, policy = int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", ""))
    room = limit - int(info.get("used_memory", 0)) + int(info.get("mem_not_counted_for_evict", 0))
    if limit and policy.startswith("allkeys-") and room < limit / _NEARLY_FULL:
        return f"Redis is full and evicts messages: its maxmemory-policy is {policy}"
    return "Redis is full and refuses writes" if limit and room < _ROOM_FOR_MESSAGES else ""


def _configured_trouble(client: Redis, info: Mapping[str, Any]) -> str:
    """What may be trouble or not, by the server's configuration, which is asked for only if need be."""
    failed_to_save = info.get("rdb_last_bgsave_status") == "err"
    if failed_to_save and _config(client, "save") and _config(client, "stop-writes-on-bgsave-error") == "yes":
        return "Redis cannot save its data to disk and refuses writes"
    if "min_slaves_good_slaves" in info:
        wanted = _config(client, "min-replicas-to-write")
        if wanted.isdigit() and int(info["min_slaves_good_slaves"]) < int(wanted):
            return "Redis has too few replicas and refuses writes"
    return ""


def _config(client: Redis, name: str) -> str:
    """A setting of a server; empty if it does not tell."""
    try:
        answer = client.config_get(name)
    except ResponseError:
        return ""
    return "".join(_text(value or "") for key, value in answer.items() if _text(key or "") == name)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _in_pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)
