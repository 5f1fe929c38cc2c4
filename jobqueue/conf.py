"""The job queue's settings: one `JOBQUEUE` dict in Django's settings, read lazily and typed."""

import difflib
import os
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, get_type_hints

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from jobqueue.retry import RetryPolicy, as_policy
from jobqueue.values import (
    LONGEST,
    SHORTEST_RUN,
    Check,
    OneOf,
    Seconds,
    Text,
    WholeNumber,
    boolean,
    length_of_time,
    shown,
)

# Longer pauses have no use, and above 24 days some systems cannot wait.
_LONGEST_PAUSE = 1_000_000.0
_DAY, _MINUTE = 86_400.0, 60.0
# What happens again and again, and how long somebody waits for an answer: neither for ever, nor for no time.
# With less than a millisecond a process does nothing else, and no answer comes within it.
_Interval = Annotated[float, Seconds(_DAY, least=0.001)]
_Patience = Annotated[float, Seconds(10 * _MINUTE, least=0.01)]
# How long to wait before something is judged: at once, it would be judged while it is under way.
_Wait = Annotated[float, Seconds(_LONGEST_PAUSE, least=0.1)]
_WaitOrNone = Annotated[float, Seconds(_LONGEST_PAUSE, may_be_zero=True)]
_Megabytes = Annotated[int | None, WholeNumber(1, 1 << 30, or_none=True)]

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use; of all where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default; the keys of `JOBQUEUE` are these names in capitals."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """Policy of processors that name none."""
    timeout: Annotated[float, Seconds(LONGEST.total_seconds(), least=SHORTEST_RUN)] = 180.0
    """Seconds a job may run when its processor names no limit."""
    timeout_grace: _Wait = 10.0
    """Seconds past its limit after which a job that still runs counts as stuck."""
    payload_limit: Annotated[int, WholeNumber(2, 100 << 20)] = 16 * 1024
    """Largest payload in bytes of UTF-8 JSON."""
    log_lines: Annotated[int, WholeNumber(0, 10_000)] = 200
    """Lines of log kept of one attempt, the first and the last ones; with 0 none are kept."""
    log_limit: Annotated[int, WholeNumber(8 * 1024, 1 << 20)] = 64 * 1024
    """Bytes of UTF-8 that these may have together."""
    log_level: Annotated[str, OneOf(LOG_LEVELS)] = "INFO"
    """From which level on what a processor logs is kept."""
    threads: Annotated[int, WholeNumber(1, 10_000)] = 16
    """Threads in each executor process."""
    processes: Annotated[int, WholeNumber(1, 1_000)] = field(default_factory=lambda: len(usable_cores()))
    """Executor processes of one worker."""
    cpu_affinity: bool = True
    """Whether an executor keeps to one core while it has more short jobs than threads."""
    niceness: Annotated[int, WholeNumber(0, 19)] = 5
    """How nice executors are at least, where CPU is short; with 0 they are as nice as their worker."""
    max_jobs_per_process: Annotated[int | None, WholeNumber(1, 1 << 60, or_none=True)] = None
    """Jobs after which an executor process gives way to a fresh one, between jobs; None is never."""
    max_memory_per_process: _Megabytes = None
    """Megabytes of memory in use from which on it does so; None is never."""
    shutdown_timeout: _WaitOrNone = 25.0
    """Seconds running jobs may finish in after SIGTERM; keep it below the orchestrator's grace. With 0 they
    are handed back at once."""
    heartbeat_interval: _Interval = 5.0
    """Seconds between heartbeats of a worker."""
    worker_silence: Annotated[float, Seconds(3 * _DAY, least=0.001)] = 20.0
    """Seconds without a heartbeat after which a worker counts as gone."""
    publish_timeout: Annotated[float, Seconds(_MINUTE, least=0.001)] = 0.04
    """Seconds a save may wait for Redis to connect, and again to answer; then the relay publishes."""
    publish_pause: _WaitOrNone = 2.0
    """Seconds during which saves do not try Redis again after it failed to answer; with 0 each save tries."""
    redis_timeout: _Patience = 5.0
    """Seconds the worker waits for one answer from Redis."""
    relay_interval: _Interval = 1.0
    """Longest pause of the relay between two looks for due jobs, in seconds."""
    relay_batch: Annotated[int, WholeNumber(1, 10_000)] = 500
    """Jobs the relay publishes at a time."""
    lost_after: _Wait = 15.0
    """Seconds after publication from which a job that Redis does not know is published again."""
    unknown_processor_timeout: _Wait = 3600.0
    """Seconds until a job fails that no worker knows: its processor, or one that takes its payload."""
    outage_retry_for: _WaitOrNone = 3600.0
    """Seconds for which a job that meets a database which is away, full or locked waits at no cost; with 0
    that is a failure like any other."""
    reconcile_interval: Annotated[float, Seconds(_LONGEST_PAUSE, least=0.1, may_be_zero=True)] = 30.0
    """Seconds between two runs of the registered reconcilers inside the workers; 0 switches them off."""
    health_timeout: _Patience = 1.5
    """Seconds `/health/queues` waits for Redis and for the database before it answers DOWN."""
    late_after: _Wait = 300.0
    """Seconds after which a job that is due and has not started is named on the overview."""
    environment: Annotated[str, Text(40, least=0)] = ""
    """Where this is, on every page of the admin: "production", say; empty shows nothing."""
    version: Annotated[str, Text(100, least=0)] = ""
    """Which code workers run, as their list shows it; empty is the version of the job queue."""
    keep_completed: timedelta = timedelta(days=30)
    """How long `jobqueue_prune` keeps completed and cancelled jobs; with timedelta(0) not at all."""
    keep_failed: timedelta = timedelta(days=365)
    """How long `jobqueue_prune` keeps failed jobs; with timedelta(0) not at all."""
    keep_audit: timedelta = timedelta(days=365)
    """How long `jobqueue_prune` keeps what operators did; with timedelta(0) not at all."""
    processor_retry: dict[str, RetryPolicy] = field(default_factory=dict)
    """Policies by processor name; they win over the one named in code."""
    allowed_functions: tuple[str, ...] = ()
    """Dotted names of functions that may be put on the queues with plain RQ; all others are quarantined."""
    databases: tuple[str, ...] = ()
    """Aliases whose jobs the workers serve; empty means every alias that holds the job queue's tables."""


def _policies(value: Any) -> dict[str, RetryPolicy]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a dict of policies by processor name, not {shown(value)}")
    policies = {}
    for name, policy in value.items():
        try:
            policies[name] = as_policy(policy)
        except ValueError as error:
            raise ValueError(f"of {shown(name)}: {error}") from None
    return policies


def _names(kind: str) -> Check:
    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple | set | frozenset):
            raise ValueError(f"must be a tuple or list of {kind}, not {shown(value)}")
        return tuple(value)

    return check


def _aliases(value: Any) -> tuple[str, ...]:
    names = _names("aliases of DATABASES")(value)
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"must be a tuple or list of aliases of DATABASES, which {shown(name)} is not")
    return tuple(dict.fromkeys(names))


# What a setting may be: its own check, by its type above, or else the one of its kind or name.
_CHECKS_OF_KINDS: dict[Any, Check] = {
    bool: boolean,
    int: WholeNumber(1, 1 << 30),
    timedelta: length_of_time,
    RetryPolicy: as_policy,
}
_CHECKS_BY_NAME: dict[str, Check] = {
    "processor_retry": _policies,
    "allowed_functions": _names("dotted names"),
    "databases": _aliases,
}


@lru_cache(maxsize=1)
def _checks() -> dict[str, Check]:
    """What checks each setting, by its name."""
    kinds = get_type_hints(Settings, include_extras=True)
    return {name: _CHECKS_BY_NAME.get(name) or _check_of(kind) for name, kind in kinds.items()}


def _check_of(kind: Any) -> Check:
    own: Check = getattr(kind, "__metadata__", (None,))[0] or _CHECKS_OF_KINDS[kind]
    return own


def _parse(raw: Any) -> Settings:
    """The settings; ImproperlyConfigured that names every key which cannot be used, and what is allowed."""
    if not isinstance(raw, dict):
        raise ImproperlyConfigured(f"JOBQUEUE must be a dict, not {shown(raw)}")
    values: dict[str, Any] = {}
    wrong = []
    for key, value in raw.items():
        try:
            name = _name_of(key)
            values[name] = _checks()[name](value)
        except ValueError as error:
            wrong.append(str(error) if isinstance(error, _UnknownKey) else f"JOBQUEUE {key} {error}")
    if wrong:
        raise ImproperlyConfigured("; ".join(wrong))
    parsed = Settings(**values)
    if parsed.worker_silence <= 2 * parsed.heartbeat_interval:
        raise ImproperlyConfigured(
            "JOBQUEUE WORKER_SILENCE must be more than twice HEARTBEAT_INTERVAL, "
            f"not {parsed.worker_silence} with {parsed.heartbeat_interval}: "
            "one late heartbeat would take jobs from a live worker."
        )
    return parsed


class _UnknownKey(ValueError):
    pass


def _name_of(key: object) -> str:
    known = {setting.name.upper(): setting.name for setting in fields(Settings)}
    if key in known:
        return known[str(key)]
    near = difflib.get_close_matches(str(key).upper(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known are: {', '.join(sorted(known))}."
    raise _UnknownKey(f"JOBQUEUE has no setting {shown(key)}.{hint}")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings in force, parsed once; `override_settings` is followed."""
    return _parse(getattr(django_settings, "JOBQUEUE", {}))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "JOBQUEUE":
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="jobqueue.conf")
