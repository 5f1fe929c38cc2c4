"""The job queue's settings: one `JOBQUEUE` dict in Django's settings, read lazily and typed."""

import difflib
import os
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from jobqueue.retry import RetryPolicy


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
    timeout: float = 180.0
    """Seconds a job may run when its processor names no limit."""
    timeout_grace: float = 10.0
    """Seconds past its limit after which a job that still runs counts as stuck."""
    payload_limit: int = 16 * 1024
    """Largest payload in bytes of UTF-8 JSON."""
    threads: int = 16
    """Threads in each executor process."""
    processes: int = field(default_factory=lambda: len(usable_cores()))
    """Executor processes of one worker."""
    cpu_affinity: bool = True
    """Whether an executor keeps to one core while it has more short jobs than threads."""
    max_jobs_per_process: int | None = None
    """Jobs after which an executor process gives way to a fresh one, between jobs; None is never."""
    max_memory_per_process: int | None = None
    """Megabytes of memory in use from which on it does so; None is never."""
    shutdown_timeout: float = 25.0
    """Seconds running jobs may finish in after SIGTERM; keep it below the orchestrator's grace."""
    heartbeat_interval: float = 5.0
    """Seconds between heartbeats of a worker."""
    worker_silence: float = 20.0
    """Seconds without a heartbeat after which a worker counts as gone."""
    publish_timeout: float = 0.04
    """Seconds a save may wait for Redis to connect, and again to answer; then the relay publishes."""
    publish_pause: float = 2.0
    """Seconds during which saves do not try Redis again after it failed to answer."""
    redis_timeout: float = 5.0
    """Seconds the worker waits for one answer from Redis."""
    relay_interval: float = 1.0
    """Longest pause of the relay between two looks for due jobs, in seconds."""
    relay_batch: int = 500
    """Jobs the relay publishes at a time."""
    lost_after: float = 15.0
    """Seconds after publication from which a job that Redis does not know is published again."""
    unknown_processor_timeout: float = 3600.0
    """Seconds until a job fails that no worker knows: its processor, or one that takes its payload."""
    reconcile_interval: float = 30.0
    """Seconds between two runs of the registered reconcilers inside the workers; 0 switches them off."""
    health_timeout: float = 1.5
    """Seconds `/health/queues` waits for Redis and for the database before it answers DOWN."""
    keep_completed: timedelta = timedelta(days=30)
    """How long `jobqueue_prune` keeps completed and cancelled jobs."""
    keep_failed: timedelta = timedelta(days=365)
    """How long `jobqueue_prune` keeps failed jobs."""
    processor_retry: dict[str, RetryPolicy] = field(default_factory=dict)
    """Policies by processor name; they win over the one named in code."""
    allowed_functions: tuple[str, ...] = ()
    """Dotted names of functions that may be put on the queues with plain RQ; all others are quarantined."""
    databases: tuple[str, ...] = ()
    """Aliases whose jobs the workers serve; empty means every alias that holds the job queue's tables."""


def _parse(raw: dict[str, Any]) -> Settings:
    known = {f.name.upper(): f.name for f in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known are: {', '.join(sorted(known))}."
            raise ImproperlyConfigured(f"JOBQUEUE has no setting {key!r}.{hint}")
        values[known[key]] = value
    if isinstance(values.get("retry"), dict):
        values["retry"] = RetryPolicy(**values["retry"])
    values["processor_retry"] = {
        name: policy if isinstance(policy, RetryPolicy) else RetryPolicy(**policy)
        for name, policy in values.get("processor_retry", {}).items()
    }
    if isinstance(values.get("allowed_functions"), str):
        raise ImproperlyConfigured("JOBQUEUE ALLOWED_FUNCTIONS must be a tuple or list of dotted names")
    values["allowed_functions"] = tuple(values.get("allowed_functions", ()))
    parsed = Settings(**values)
    if parsed.worker_silence <= 2 * parsed.heartbeat_interval:
        raise ImproperlyConfigured(
            "JOBQUEUE WORKER_SILENCE must be more than twice HEARTBEAT_INTERVAL, "
            f"not {parsed.worker_silence} with {parsed.heartbeat_interval}: "
            "one late heartbeat would take jobs from a live worker."
        )
    return parsed


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings in force, parsed once; `override_settings` is followed."""
    return _parse(getattr(django_settings, "JOBQUEUE", {}))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "JOBQUEUE":
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="jobqueue.conf")
