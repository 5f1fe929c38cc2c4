"""The keys in Redis: RQ's own are as RQ spells them, none ever changes, and each is spelled in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis
import rq
from rq import suspension
from rq.job import Job as RQJob
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ReadyJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)

import jobqueue
from jobqueue.broker import keys

SOURCES = Path(jobqueue.__file__).parent


def test_no_key_ever_changes() -> None:
    assert keys.PATTERNS == {
        "queues": "rq:queues",
        "suspended": "rq:suspended",
        "list": "rq:queue:",
        "job": "rq:job:",
        "started": "rq:wip:",
        "finished": "rq:finished:",
        "failed": "rq:failed:",
        "canceled": "rq:canceled:",
        "number": "rq:jobqueue:list:",
        "bell": "rq:jobqueue:bell:",
        "starts": "rq:jobqueue:starts:",
        "starts_of": "rq:jobqueue:starts-of:",
        "foreign": "rq:jobqueue:foreign:",
        "batch": "rq:jobqueue:batch:",
        "counters": "rq:jobqueue:counters",
        "chart": "rq:jobqueue:chart:",
        "lead": "rq:jobqueue:lead",
        "swept": "rq:jobqueue:swept:",
        "alive": "rq:jobqueue:alive",
        "shared": "rq:jobqueue:shared",
        "aside": "rq:jobqueue:set-aside:it:",
        "aside_names": "rq:jobqueue:set-aside:names:",
        "aside_notes": "rq:jobqueue:set-aside:notes",
        "aside_news": "rq:jobqueue:set-aside:news",
    }
    assert keys.CHART_FOLDED == "rq:jobqueue:chart-folded"
    assert keys.RUNNING == "rq:jobqueue:running:"
    assert keys.OTHERS == {
        "workers": "rq:workers",
        "worker": "rq:worker:",
        "rate_limits": "rq:rl-keys",
        "rate_limit": "rq:rl:",
        "deferred": "rq:deferred:",
        "ready": "rq:ready:",
        "scheduled": "rq:scheduled:",
    }


def test_rqs_own_keys_are_as_rq_spells_them(redis_client: redis.Redis) -> None:
    assert keys.PATTERNS["queues"] == rq.Queue.redis_queues_keys
    assert keys.PATTERNS["suspended"] == suspension.WORKERS_SUSPENDED
    assert keys.PATTERNS["list"] + "email" == rq.Queue("email", connection=redis_client).key
    assert keys.job(b"5-1").decode() == RQJob("5-1", connection=redis_client).key
    assert keys.dependents(b"5-1").decode() == RQJob("5-1", connection=redis_client).dependents_key


@pytest.mark.parametrize(
    ("name", "registry"),
    [
        ("started", StartedJobRegistry),
        ("finished", FinishedJobRegistry),
        ("failed", FailedJobRegistry),
        ("canceled", CanceledJobRegistry),
        ("deferred", DeferredJobRegistry),
        ("ready", ReadyJobRegistry),
        ("scheduled", ScheduledJobRegistry),
    ],
)
def test_rqs_registries_are_where_rq_looks_for_them(
    redis_client: redis.Redis, name: str, registry: type[rq.registry.BaseRegistry]
) -> None:
    assert (keys.PATTERNS | keys.OTHERS)[name] + "email" == registry("email", connection=redis_client).key


def test_no_other_file_spells_a_key() -> None:
    spelled = re.compile(r"""RQ_KEY_PREFIX|["']rq:|:(queue|wip|job|jobqueue|failed|finished|canceled):""")
    files = [*SOURCES.rglob("*.py"), *SOURCES.rglob("*.lua")]
    assert [str(file) for file in files if spelled.search(file.read_text())] == [keys.__file__]
