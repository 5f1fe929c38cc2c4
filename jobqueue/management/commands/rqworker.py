"""`manage.py rqworker email reminders settlement`: django-rq's command with jobqueue's worker."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django_rq.management.commands.rqworker import Command as DjangoRQCommand
from django_rq.workers import get_worker

from jobqueue.broker import server
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.management import preconditions
from jobqueue.sql import read_only
from jobqueue.sql.databases import databases, leave_out
from jobqueue.sql.writing import wait_for_locks_in_this_process
from jobqueue.worker import options, supervisor, terminal
from jobqueue.worker.options import Options
from jobqueue.worker.supervisor import SupervisorWorker

if TYPE_CHECKING:
    from rq import Worker

logger = logging.getLogger(__name__)


NO_SCHEDULER = (
    "--with-scheduler is refused, for no scheduler is needed: every worker starts delayed jobs by itself. "
    "Enqueue them with jobqueue.jobs.enqueue(), with run_at=… or delay=…. What RQ's own scheduler would "
    "start is set aside."
)


class Command(DjangoRQCommand):
    """Runs the jobs of the given queues, delayed and retried ones included, until SIGTERM or SIGINT."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """django-rq's options and ours."""
        super().add_arguments(parser)
        options.add_arguments(parser)

    def handle(self, *args: str, **given: Any) -> None:
        """Run the worker; the exit code is 0 only for a stop that was asked for."""
        wait_for_locks_in_this_process()
        queues = self._check(args, given)
        supervisor.end_when_asked_to_stop()
        if given["pid"]:
            Path(given["pid"]).expanduser().write_text(str(os.getpid()))
        level = {0: "WARNING", 1: "INFO"}.get(given["verbosity"], "DEBUG")
        is_shown_here = terminal.show_log(level, is_default=given["verbosity"] == 1)
        self._wait_for_redis()
        worker = self._worker(queues, given)
        if is_shown_here and given["verbosity"] and isinstance(worker, SupervisorWorker):
            self.stderr.write(terminal.banner(worker.options), str)
        connections.close_all()
        worker.work(
            burst=given["burst"],
            logging_level=level,
            max_jobs=given["max_jobs"],
            max_idle_time=given["max_idle_time"],
        )
        sys.exit(getattr(worker, "exit_code", 0))

    def _worker(self, queues: list[str], given: dict[str, Any]) -> Worker:
        worker = get_worker(
            *queues,
            worker_class=given["worker_class"] or SupervisorWorker,
            queue_class=given["queue_class"],
            job_class=given["job_class"],
            name=given["name"],
            worker_ttl=given["worker_ttl"],
            # Never a pickle, whatever --serializer says.
            serializer="rq.serializers.JSONSerializer",
        )
        if isinstance(worker, SupervisorWorker):
            worker.options = Options.of_command_line(given, name=worker.name, queues=worker.queue_names())
        return worker

    def _check(self, names: tuple[str, ...], given: dict[str, Any]) -> list[str]:
        _check_settings()
        # Also where the system's checks are skipped.
        for refusal in preconditions.refusals():
            raise CommandError(refusal)
        configured = list(django_settings.RQ_QUEUES)
        unknown = [name for name in names if name not in configured]
        if unknown:
            raise CommandError(f"no queue named {', '.join(unknown)}; RQ_QUEUES has: {', '.join(configured)}")
        if given["with_scheduler"]:
            raise CommandError(NO_SCHEDULER)
        try:
            options.check(given)
        except ValueError as error:
            raise CommandError(str(error)) from error
        for using in databases():
            _check_tables(using)
        _leave_out_what_is_refused()
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


def _check_settings() -> None:
    try:
        aliases = get_settings().databases
    except ImproperlyConfigured as error:
        raise CommandError(f"JOBQUEUE cannot be used: {error}") from error
    unknown = [using for using in aliases if using not in connections]
    if unknown:
        raise CommandError(
            f"JOBQUEUE DATABASES names {', '.join(unknown)}; DATABASES has: {', '.join(connections)}"
        )


def _leave_out_what_is_refused() -> None:
    """One database of several that takes no writes does not keep the jobs of the others waiting."""
    served = databases()
    refused = {using: why for using in served if (why := read_only.why_not_written(using))}
    sentences = [read_only.sentence(using, why) for using, why in refused.items()]
    if refused and len(refused) == len(served):
        raise CommandError("; ".join(sentences))
    for using, text in zip(refused, sentences, strict=True):
        logger.warning("set aside: %s. The others are served", text)
        leave_out(using)


def _check_tables(using: str) -> None:
    executor = MigrationExecutor(connections[using])
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "jobqueue"]
    if not executor.migration_plan(targets):
        return
    if using == DEFAULT_DB_ALIAS:
        raise CommandError("the job queue's tables are missing or old; run: manage.py migrate")
    raise CommandError(
        f"the job queue's tables are missing or old in the database {using!r}; "
        f"run: manage.py migrate --database {using}"
    )
