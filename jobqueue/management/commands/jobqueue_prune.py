"""`manage.py jobqueue_prune`: delete old finished jobs, in batches."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue.conf import get_settings
from jobqueue.exceptions import DatabaseUnavailable
from jobqueue.models import AuditEntry, BulkAction, Job
from jobqueue.models.attempt_log import logs_without_job
from jobqueue.models.chart import prune_hours
from jobqueue.sql.databases import in_each_database

_BATCH = 1000


class Command(BaseCommand):
    """Deletes completed and cancelled jobs after KEEP_COMPLETED, failed ones after KEEP_FAILED.

    Attempts and their lines of log go with their jobs, what operators did after KEEP_AUDIT, the hours of the
    charts after 90 days, bulk actions that have ended with the jobs that they changed. What was set aside is
    never deleted.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """How long to keep what, if not as in the settings."""
        parser.add_argument(
            "--completed-days", type=float, help="keep completed and cancelled jobs so many days"
        )
        parser.add_argument("--failed-days", type=float, help="keep failed jobs so many days")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete batch by batch, so no transaction is long."""
        settings = get_settings()
        done = _days("--completed-days", options["completed_days"], settings.keep_completed)
        failed = _days("--failed-days", options["failed_days"], settings.keep_failed)
        deleted: list[int] = []
        try:
            in_each_database(lambda using: _prune(using, done, failed, settings.keep_audit, deleted))
            _prune_log(settings.keep_audit)
        except DatabaseUnavailable as error:
            raise CommandError(str(error)) from error
        finally:
            self.stdout.write(f"deleted {sum(deleted)} jobs")


def _prune(using: str, done: timedelta, failed: timedelta, keep_audit: timedelta, deleted: list[int]) -> None:
    """Delete what is old in one database; `deleted` gets the numbers of jobs, batch by batch."""
    rows = Job.objects.using(using)
    ended = [Job.State.COMPLETED, Job.State.CANCELLED]
    _delete(rows.filter(state__in=ended, finished_at__lt=Now() - done), deleted)
    BulkAction.objects.using(using).filter(ended_at__lt=Now() - max(done, failed)).delete()
    prune_hours(using)
    _delete(rows.filter(state=Job.State.FAILED, set_aside="", finished_at__lt=Now() - failed), deleted)
    _delete(AuditEntry.objects.using(using).filter(at__lt=Now() - keep_audit), [])
    _delete(logs_without_job(using), [])


def _days(option: str, value: float | None, default: timedelta) -> timedelta:
    if value is None:
        return default
    if value < 0:
        raise CommandError(f"{option} must be 0 or more, not {value:g}")
    return timedelta(days=value)


def _prune_log(keep: timedelta) -> None:
    """What the log of Django's admin says of jobs, record by record; entries about others are not ours."""
    if not apps.is_installed("django.contrib.admin"):
        return
    log: type[Model] = apps.get_model("admin", "LogEntry")
    old = log._default_manager.filter(action_time__lt=timezone.now() - keep)
    _delete(old.filter(content_type__app_label="jobqueue"), [])


def _delete(rows: QuerySet[Any], deleted: list[int]) -> None:
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH]):
        rows.model._default_manager.using(rows.db).filter(pk__in=ids).delete()
        deleted.append(len(ids))
