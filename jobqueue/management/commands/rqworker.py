"""`manage.py rqworker email reminders settlement`: django-rq's command with jobqueue's worker."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from argparse import BooleanOptionalAction
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django_rq.management.commands.rqworker import Command as DjangoRQCommand
from django_rq.workers import get_worker

from jobqueue.broker import server
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.sql import databases
from jobqueue.worker.options import STOP_SIGNALS
from jobqueue.worker.supervisor import SupervisorWorker

logger = logging.getLogger(__name__)

_LEAST = {
    "threads": 1,
    "processes": 1,
    "shutdown_timeout": 0,
    "max_jobs": 1,
    "max_idle_time": 0,
    "max_jobs_per_process": 1,
    "max_memory_per_process": 1,
}


class Command(DjangoRQCommand):
    """Runs the jobs of the given queues, delayed and retried ones included, until SIGTERM or SIGINT."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """django-rq's options and ours."""
        super().add_arguments(parser)
        settings = get_settings()
        parser.add_argument("--threads", type=int, default=settings.threads, help="threads in each process")
        parser.add_argument("--processes", type=int, default=settings.processes, help="executor processes")
        parser.add_argument(
            "--shutdown-timeout",
            type=float,
            default=settings.shutdown_timeout,
            help="seconds running jobs may finish in after SIGTERM before they are handed back",
        )
        parser.add_argument(
            "--cpu-affinity",
            action=BooleanOptionalAction,
            default=settings.cpu_affinity,
            help="let each executor process keep to one core while it has more short jobs than threads",
        )
        parser.add_argument(
            "--max-jobs-per-process",
            type=int,
            default=settings.max_jobs_per_process,
            help="jobs after which an executor process gives way to a fresh one, between jobs",
        )
        parser.add_argument(
            "--max-memory-per-process",
            type=int,
            default=settings.max_memory_per_process,
            metavar="MEGABYTES",
            help="memory in use from which on an executor process gives way to a fresh one, between jobs",
        )

    def handle(self, *args: str, **options: Any) -> None:
        """Run the worker; the exit code is 0 only for a stop that was asked for."""
        names = self._check(args, options)
        for signum in STOP_SIGNALS:
            # Until the worker has its own handlers there is nothing to finish.
            signal.signal(signum, lambda *_: sys.exit(0))
        if options["pid"]:
            Path(options["pid"]).expanduser().write_text(str(os.getpid()))
        level = {0: "WARNING", 1: "INFO"}.get(options["verbosity"], "DEBUG")
        for name in ("jobqueue", "rq.worker"):
            logging.getLogger(name).setLevel(level)
        self._wait_for_redis()
        worker = get_worker(
            *names,
            worker_class=options["worker_class"] or SupervisorWorker,
            queue_class=options["queue_class"],
            job_class=options["job_class"],
            name=options["name"],
            worker_ttl=options["worker_ttl"],
            # Never a pickle, whatever --serializer says.
            serializer="rq.serializers.JSONSerializer",
        )
        if isinstance(worker, SupervisorWorker):
            worker.threads = options["threads"]
            worker.processes = options["processes"]
            worker.cpu_affinity = options["cpu_affinity"]
            worker.shutdown_timeout = options["shutdown_timeout"]
            worker.max_jobs_per_process = options["max_jobs_per_process"]
            worker.max_memory_per_process = options["max_memory_per_process"]
        connections.close_all()
        worker.work(
            burst=options["burst"],
            with_scheduler=options["with_scheduler"],
            logging_level=level,
            max_jobs=options["max_jobs"],
            max_idle_time=options["max_idle_time"],
        )
        sys.exit(getattr(worker, "exit_code", 0))

    def _check(self, names: tuple[str, ...], options: dict[str, Any]) -> list[str]:
        configured = list(django_settings.RQ_QUEUES)
        unknown = [name for name in names if name not in configured]
        if unknown:
            raise CommandError(f"no queue named {', '.join(unknown)}; RQ_QUEUES has: {', '.join(configured)}")
        for option, least in _LEAST.items():
            value = options[option]
            if value is not None and value < least:
                raise CommandError(f"--{option.replace('_', '-')} must be {least} or more, not {value:g}")
        for alias in databases.databases():
            _check_tables(alias)
        return list(names) or configured

    def _wait_for_redis(self) -> None:
        told = False
        while True:
            try:
                return server.ping("work")
            except BrokerUnavailable as error:
                if not told:
                    logger.warning("waiting for Redis: %s", error)
                told = True
                time.sleep(0.5)


def _check_tables(alias: str) -> None:
    executor = MigrationExecutor(connections[alias])
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "jobqueue"]
    if not executor.migration_plan(targets):
        return
    if alias == DEFAULT_DB_ALIAS:
        raise CommandError("the job queue's tables are missing or old; run: manage.py migrate")
    raise CommandError(
        f"the job queue's tables are missing or old in the database {alias!r}; "
        f"run: manage.py migrate --database {alias}"
    )
