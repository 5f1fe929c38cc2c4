"""The chart of ninety days: what ended in each hour, folded from Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from jobqueue.models.written import TolerantManager
from jobqueue.sql.writing import writing

KEEP = timedelta(days=90)
"""How long hours are kept."""
LONGEST_NAME = 100
_DELETED_AT_ONCE = 1000


class ChartHour(models.Model):
    """Jobs of a queue and processor that ended in an hour in one way, with how long they waited and ran.

    `runs` and `waits` are the amounts in the buckets of `jobqueue.broker.tallies`. A row is written again and
    again while its hour lasts, each time with more jobs.
    """

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField(_("hour"))
    queue = models.CharField(_("queue"), max_length=LONGEST_NAME)
    processor = models.CharField(_("processor"), max_length=LONGEST_NAME)
    outcome = models.CharField(_("outcome"), max_length=20)
    jobs = models.BigIntegerField(_("jobs"))
    runs = models.JSONField(_("by time that they ran"), default=list)
    waits = models.JSONField(_("by time that they waited"), default=list)

    objects = TolerantManager()

    class Meta:
        ordering = ["hour", "queue", "processor", "outcome"]
        default_permissions = ()
        verbose_name = _("hour of the charts")
        verbose_name_plural = _("hours of the charts")
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "queue", "processor", "outcome"], name="jobqueue_charthour_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M} {self.queue} {self.processor} {self.outcome}"


class Charts(ChartHour):
    """The charts as a menu entry of their own."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("charts")
        verbose_name_plural = _("charts")


class VersionStart(models.Model):
    """Since when workers run this version (`JOBQUEUE["VERSION"]`): a mark on the charts."""

    id = models.BigAutoField(primary_key=True)
    version = models.CharField(_("version"), max_length=LONGEST_NAME)
    began_at = models.DateTimeField(_("began"), db_default=Now())

    objects = TolerantManager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        verbose_name = _("start of a version")
        verbose_name_plural = _("starts of versions")

    def __str__(self) -> str:
        return self.version


class HourKey(NamedTuple):
    """What makes a row of its own."""

    hour: datetime
    queue: str
    processor: str
    outcome: str


class HourAmounts(NamedTuple):
    """What a row says."""

    jobs: int
    runs: Sequence[int]
    waits: Sequence[int]


def write_hours(found: Mapping[HourKey, HourAmounts], using: str) -> int:
    """Write these hours down. Returns how many rows were new or became more.

    A row never becomes less, for Redis may have been emptied meanwhile. So it can be done twice, by two at
    once, or half: the same amounts change nothing.
    """
    hours = {key.hour for key in found}
    changed = 0
    with writing(using):
        rows = ChartHour.objects.using(using)
        known = {
            HourKey(*key): (pk, jobs)
            for pk, jobs, *key in rows.filter(hour__in=hours).values_list("pk", "jobs", *HourKey._fields)
        }
        new = [key for key in sorted(found) if key not in known]
        rows.bulk_create(
            [ChartHour(**key._asdict(), **found[key]._asdict()) for key in new],
            ignore_conflicts=True,
            batch_size=200,
        )
        for key in sorted(known.keys() & found.keys()):
            pk, jobs = known[key]
            if found[key].jobs > jobs:
                changed += rows.filter(pk=pk, jobs__lt=found[key].jobs).update(**found[key]._asdict())
    return changed + len(new)


def note_version(version: str, using: str) -> bool:
    """Note that workers run this version from now on, if the last one was another. Whether it was."""
    with writing(using):
        starts = VersionStart.objects.using(using)
        last = starts.order_by("-pk").values_list("version", flat=True).first()
        if last == version:
            return False
        starts.create(version=version)
        return True


def prune_hours(using: str) -> int:
    """Delete what is older than KEEP, in batches. Returns how many hours' rows that were."""
    total = 0
    old = ChartHour.objects.using(using).filter(hour__lt=Now() - KEEP).order_by("pk")
    while ids := list(old.values_list("pk", flat=True)[:_DELETED_AT_ONCE]):
        ChartHour.objects.using(using).filter(pk__in=ids).delete()
        total += len(ids)
    VersionStart.objects.using(using).filter(began_at__lt=Now() - KEEP).delete()
    return total
