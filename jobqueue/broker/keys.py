"""Every key in Redis that the job queue reads or writes, spelled once; the scripts get theirs from here.

RQ's own keys are those that its tools, its pages and its worker know. What is ours alone stands under
`jobqueue`. A key never changes: messages outlive a deployment, and an old worker may run beside a new one.
"""

from __future__ import annotations

from collections.abc import Iterable

from rq.defaults import RQ_KEY_PREFIX

_OURS = f"{RQ_KEY_PREFIX}:jobqueue"

COUNTERS = f"{_OURS}:counters"
# A mark that the chart was folded a moment ago.
CHART_FOLDED = f"{_OURS}:chart-folded"
# Behind it the id of a worker: what its threads run.
RUNNING = f"{_OURS}:running:"

# By their names in the scripts. What ends in a colon is completed there: with a queue, but `job` with the id
# of a message, `batch` with that of a batch, `chart` with the number of a period and `starts_of` with a
# processor.
PATTERNS = {
    "queues": f"{RQ_KEY_PREFIX}:queues",
    "suspended": f"{RQ_KEY_PREFIX}:suspended",
    "list": f"{RQ_KEY_PREFIX}:queue:",
    "job": f"{RQ_KEY_PREFIX}:job:",
    "started": f"{RQ_KEY_PREFIX}:wip:",
    "finished": f"{RQ_KEY_PREFIX}:finished:",
    "failed": f"{RQ_KEY_PREFIX}:failed:",
    "canceled": f"{RQ_KEY_PREFIX}:canceled:",
    "number": f"{_OURS}:list:",
    "bell": f"{_OURS}:bell:",
    "starts": f"{_OURS}:starts:",
    "starts_of": f"{_OURS}:starts-of:",
    "foreign": f"{_OURS}:foreign:",
    "batch": f"{_OURS}:batch:",
    "counters": COUNTERS,
    "chart": f"{_OURS}:chart:",
    "lead": f"{_OURS}:lead",
    "swept": f"{_OURS}:swept:",
    "alive": f"{_OURS}:alive",
    "shared": f"{_OURS}:shared",
    "aside": f"{_OURS}:set-aside:it:",
    "aside_names": f"{_OURS}:set-aside:names:",
    "aside_notes": f"{_OURS}:set-aside:notes",
    "aside_news": f"{_OURS}:set-aside:news",
}

# Of RQ's keys those that no script uses by itself.
OTHERS = {
    "workers": f"{RQ_KEY_PREFIX}:workers",
    "worker": f"{RQ_KEY_PREFIX}:worker:",
    "rate_limits": f"{RQ_KEY_PREFIX}:rl-keys",
    "rate_limit": f"{RQ_KEY_PREFIX}:rl:",
    "deferred": f"{RQ_KEY_PREFIX}:deferred:",
    "ready": f"{RQ_KEY_PREFIX}:ready:",
    "scheduled": f"{RQ_KEY_PREFIX}:scheduled:",
}
_ALL = PATTERNS | OTHERS

# Of which type each is, where somebody else may have written another.
_TYPES_OF_QUEUE = {
    "list": "list",
    "started": "zset",
    "finished": "zset",
    "failed": "zset",
    "canceled": "zset",
    "deferred": "zset",
    "ready": "zset",
    "scheduled": "zset",
    "number": "string",
    "bell": "list",
    "starts": "list",
    "foreign": "zset",
    "swept": "string",
}
_TYPES = {
    "queues": "set",
    "suspended": "string",
    "counters": "hash",
    "lead": "string",
    "alive": "zset",
    "shared": "string",
    "workers": "set",
    "rate_limits": "set",
    "aside_notes": "hash",
    "aside_news": "list",
}


def types_of_queue(queue: str) -> dict[str, str]:
    """The type of each key that a queue has, by the name of the key."""
    return {_ALL[name] + queue: kind for name, kind in _TYPES_OF_QUEUE.items()}


def types_of_worker(name: str, queues: Iterable[str]) -> dict[str, str]:
    """The type of each key that RQ has of a worker and its queues, by the name of the key."""
    workers = _ALL["workers"]
    return {_ALL["worker"] + name: "hash", workers: "set", **{f"{workers}:{q}": "set" for q in queues}}


def prefixes_of_queues() -> list[str]:
    """What stands before the name of a queue in each of its keys."""
    return [_ALL[name] for name in _TYPES_OF_QUEUE]


def types_of_all() -> dict[str, str]:
    """The type of each key that all queues of a server share, by the name of the key."""
    others = {aside_names(kind): "zset" for kind in ASIDE_KINDS} | {
        bell(RELAY): "list",
        CHART_FOLDED: "string",
    }
    return {_ALL[name]: kind for name, kind in _TYPES.items()} | others


# The name of the bell that the leading relay listens to.
RELAY = "relay"
# What is set aside: messages and keys.
ASIDE_KINDS = ("message", "key")


def aside_names(kind: str) -> str:
    """The names of what was set aside of a kind, by when, in seconds."""
    return PATTERNS["aside_names"] + kind


def aside_note(kind: str, name: str) -> str:
    """The field of the hash of notes that tells of it."""
    return f"{kind} {name}"


def of_rqs_scheduler(queue: str) -> list[str]:
    """RQ's registries of what waits for a time, or for other jobs: sorted sets of messages."""
    return [_ALL[name] + queue for name in ("scheduled", "deferred", "ready")]


def rate_limited(name: bytes) -> bytes:
    """RQ's sorted set of what one of its rate limits holds back."""
    return _ALL["rate_limit"].encode() + name + b":rate_limited"


def started(queue: str) -> str:
    """RQ's registry of what runs, a sorted set of `<message id>:<worker id>`."""
    return _ALL["started"] + queue


def finished(queue: str) -> str:
    """RQ's registry of what ended well, a sorted set of message ids by when they go; in seconds."""
    return _ALL["finished"] + queue


def job(message_id: bytes) -> bytes:
    """RQ's hash of one job; an id that is none of ours need not be text."""
    return _ALL["job"].encode() + message_id


def dependents(message_id: bytes) -> bytes:
    """RQ's set of the jobs that wait for this one."""
    return job(message_id) + b":dependents"


def bell(name: str) -> str:
    """A list of at most one token, which wakes whoever waits for it; the name is a queue's or the relay's."""
    return _ALL["bell"] + name


def starts(queue: str) -> str:
    """When the last jobs of a queue with a rate limit started, in milliseconds, the newest first."""
    return _ALL["starts"] + queue


def starts_of(processor: str) -> str:
    """The same of a processor with a rate limit, over all its queues."""
    return _ALL["starts_of"] + processor


def chart(period: int) -> str:
    """The hash of what ended in a period."""
    return f"{PATTERNS['chart']}{period}"


def foreign(queue: str) -> str:
    """Messages that are not ours, by when somebody has to look after them; in seconds."""
    return _ALL["foreign"] + queue
