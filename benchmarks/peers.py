"""Who takes part: how their workers and producers start, and how many jobs make a round of some seconds."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

_PYTHON = sys.executable
_QUEUES = ("email", "reminders", "settlement")
_OUR_SETTINGS = {"DJANGO_SETTINGS_MODULE": "benchmarks.site.settings"}
_STOCK_SETTINGS = {"DJANGO_SETTINGS_MODULE": "benchmarks.site.stock_settings"}
_OURS_WITH_STOCK_RQ = _OUR_SETTINGS | {"BENCHMARK_STOCK_RQ": "1"}


@dataclass(frozen=True, slots=True)
class Peer:
    """One contestant."""

    key: str
    label: str
    worker: tuple[str, ...]
    producer: tuple[str, ...]
    jobs: Mapping[str, int]
    """How many jobs of each kind of work it gets in a round."""
    database: str = ""
    """Where its rows are: "postgresql", "sqlite", or nothing for a peer without rows."""
    environment: Mapping[str, str] = field(default_factory=dict)


def _python_producer(module: str) -> tuple[str, ...]:
    return (_PYTHON, "-m", "benchmarks.work.produce", module)


def _ours(key: str, label: str, database: str, jobs: Mapping[str, int], *options: str) -> Peer:
    return Peer(
        key=key,
        label=label,
        worker=(_PYTHON, "manage.py", "rqworker", *_QUEUES, *options),
        producer=_python_producer("spendsync"),
        jobs=jobs,
        database=database,
        environment=_OUR_SETTINGS,
    )


def _celery(pool: str, concurrency: int, jobs: Mapping[str, int]) -> Peer:
    return Peer(
        key=f"celery_{pool}",
        label=f"Celery {pool} -c {concurrency}, acks_late",
        worker=(
            *(_PYTHON, "-m", "celery", "-A", "benchmarks.work.celery_peer", "worker"),
            *("--pool", pool, "-c", str(concurrency)),
        ),
        producer=_python_producer("celery_peer"),
        jobs=jobs,
    )


def _on_node(package: str, name: str, concurrency: int, jobs: Mapping[str, int]) -> Peer:
    script = f"benchmarks/work/{package}.js"
    return Peer(
        key=f"{package}_{concurrency}",
        label=f"{name}, concurrency {concurrency}",
        worker=("node", script, "work", str(concurrency)),
        producer=("node", script, "produce"),
        jobs=jobs,
    )


OURS = _ours(
    "ours_postgresql",
    "this worker, defaults, PostgreSQL",
    "postgresql",
    {"noop": 40_000, "io5": 20_000, "email": 3_000},
)
OURS_UNCOUNTED = replace(
    OURS,
    key="ours_uncounted",
    label="the same, charts not counted",
    environment={**OURS.environment, "BENCHMARK_WITHOUT_CHARTS": "1"},
)
OURS_2X50 = _ours(
    "ours_2x50",
    "this worker, 2 × 50, PostgreSQL",
    "postgresql",
    {"noop": 40_000, "io5": 30_000},
    *("--processes", "2", "--threads", "50"),
)
OURS_SQLITE = _ours(
    "ours_sqlite", "this worker, defaults, SQLite", "sqlite", {"noop": 20_000, "io5": 15_000, "email": 1_500}
)
STOCK = Peer(
    key="stock",
    label="stock django-rq `rqworker`",
    worker=(_PYTHON, "-m", "django", "rqworker", *_QUEUES),
    producer=_python_producer("stock"),
    jobs={"noop": 300, "io5": 250},
    environment=_STOCK_SETTINGS,
)
STOCK_POOL = Peer(
    key="stock_pool",
    label="stock `rqworker-pool`, 2 × SimpleWorker",
    worker=(
        *(_PYTHON, "-m", "django", "rqworker-pool", *_QUEUES),
        *("--num-workers", "2", "--worker-class", "rq.SimpleWorker"),
    ),
    producer=_python_producer("stock"),
    jobs={"noop": 3_500, "io5": 1_300},
    environment=_STOCK_SETTINGS,
)
STOCK_EMAIL = Peer(
    key="stock_email",
    label="stock django-rq `rqworker`, the same code",
    worker=(_PYTHON, "-m", "django", "rqworker", *_QUEUES),
    producer=_python_producer("stock"),
    jobs={"email": 150},
    database="postgresql",
    environment=_OURS_WITH_STOCK_RQ,
)
CELERY_PREFORK = _celery("prefork", 2, {"noop": 6_000, "io5": 1_500})
CELERY_THREADS = _celery("threads", 50, {"noop": 6_000, "io5": 5_000})
DRAMATIQ = Peer(
    key="dramatiq",
    label="Dramatiq -p 2 -t 8",
    worker=(_PYTHON, "-m", "dramatiq", "benchmarks.work.dramatiq_peer", "-p", "2", "-t", "8"),
    producer=_python_producer("dramatiq_peer"),
    jobs={"noop": 16_000, "io5": 10_000},
)
HUEY = Peer(
    key="huey",
    label="Huey -k thread -w 2 (acknowledges early)",
    worker=(
        *(_PYTHON, "-m", "huey.bin.huey_consumer", "benchmarks.work.huey_peer.huey"),
        *("-k", "thread", "-w", "2"),
    ),
    producer=_python_producer("huey_peer"),
    jobs={"noop": 16_000, "io5": 1_500},
)
BULL_1 = _on_node("bull", "Bull 4", 1, {"noop": 18_000, "io5": 700})
BULL_50 = _on_node("bull", "Bull 4", 50, {"noop": 60_000, "io5": 30_000})
BULLMQ_1 = _on_node("bullmq", "BullMQ", 1, {"noop": 18_000, "io5": 700})
BULLMQ_50 = _on_node("bullmq", "BullMQ", 50, {"noop": 60_000, "io5": 30_000})

DRAINING = [
    STOCK,
    STOCK_POOL,
    CELERY_PREFORK,
    CELERY_THREADS,
    DRAMATIQ,
    HUEY,
    BULL_1,
    BULL_50,
    BULLMQ_1,
    BULLMQ_50,
    OURS_SQLITE,
    OURS,
    OURS_2X50,
]
COUNTING = [OURS, OURS_UNCOUNTED]
EMAILING = [STOCK_EMAIL, OURS]
ENQUEUEING = [STOCK, BULL_50, BULLMQ_50, OURS_SQLITE, OURS]
PICKING_UP = [STOCK, CELERY_PREFORK, CELERY_THREADS, BULL_50, BULLMQ_50, OURS_SQLITE, OURS]
DELAYING = [BULL_50, BULLMQ_50, OURS_SQLITE, OURS]
