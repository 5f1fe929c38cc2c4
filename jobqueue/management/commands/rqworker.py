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
from django.db import connections
from django.utils.module_loading import import_string
from django_rq.management.commands.rqworker import Command as DjangoRQCommand
from django_rq.workers import get_worker

from jobqueue.broker.connections import as_unavailable
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable, CannotStart
from jobqueue.management import preconditions
from jobqueue.sql.connecting import (
    limit_connecting_in_this_process,
    notice_vanished_hosts_in_this_process,
)
from jobqueue.sql.pools import leave_pools_in_this_process
from jobqueue.sql.writing import wait_for_locks_in_this_process
from jobqueue.values import shown
from jobqueue.worker import logs, options, start, supervisor, terminal
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


OTHER_WORKER = (
    "--worker-class {} is refused, for it would not run the jobs of the job queue: leave it out, or name a "
    "subclass of jobqueue.worker.supervisor.SupervisorWorker"
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
        logs.harden()
        wait_for_locks_in_this_process()
        leave_pools_in_this_process()
        supervisor.end_when_asked_to_stop()
        queues = self._check(args, given)
        limit_connecting_in_this_process()
        notice_vanished_hosts_in_this_process()
        if given["pid"]:
            Path(given["pid"]).expanduser().write_text(str(os.getpid()))
        level = {0: "WARNING", 1: "INFO"}.get(given["verbosity"], "DEBUG")
        is_shown_here = terminal.show_log(level, is_default=given["verbosity"] == 1)
        for warning in options.ignored(given):
            logger.warning("%s", warning)
        worker = self._worker_once_servers_are_there(queues, given)
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

    def _worker_once_servers_are_there(self, queues: list[str], given: dict[str, Any]) -> Worker:
        while True:
            try:
                start.wait_for_servers(queues)
                with as_unavailable():
                    return self._worker(queues, given)
            except CannotStart as error:
                raise CommandError(str(error)) from error
            except BrokerUnavailable as error:
                # It was there a moment ago, and RQ asks it once more.
                logger.warning("waiting for Redis: %s", error)
                time.sleep(0.5)

    def _worker(self, queues: list[str], given: dict[str, Any]) -> Worker:
        worker = get_worker(
            *queues,
            worker_class=given["worker_class"] or SupervisorWorker,
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
        if given["worker_class"] and not _runs_our_jobs(given["worker_class"]):
            raise CommandError(OTHER_WORKER.format(shown(given["worker_class"])))
        try:
            options.check(given)
        except ValueError as error:
            raise CommandError(str(error)) from error
        return list(names) or configured


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


def _runs_our_jobs(worker_class: Any) -> bool:
    try:
        named = import_string(worker_class) if isinstance(worker_class, str) else worker_class
    except ImportError as error:
        raise CommandError(f"--worker-class cannot be imported: {error}") from error
    return isinstance(named, type) and issubclass(named, SupervisorWorker)
