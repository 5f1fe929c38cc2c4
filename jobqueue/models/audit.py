"""What operators did: one row an action, however many jobs it changed."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections, models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from jobqueue.models.job import Job
from jobqueue.models.written import TolerantManager

LONGEST_REASON = 500
MOST_JOBS_NAMED = 5_000
"""Jobs of one action whose ids are kept with it; a bulk action's jobs point to its own row."""


class AuditEntry(models.Model):
    """Who did what to what, when and why. So many `jobs` were changed; `job_ids` can be listed."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(_("when"), db_default=Now())
    who = models.CharField(_("who"), max_length=200)
    verb = models.CharField(_("verb"), max_length=60)
    text = models.TextField(_("what"), default="", blank=True)
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON, default="", blank=True)
    object_type = models.CharField(_("kind of object"), max_length=200, default="", blank=True)
    object_id = models.CharField(_("key of the object"), max_length=255, default="", blank=True)
    object_name = models.CharField(_("object"), max_length=200, default="", blank=True)
    queue = models.CharField(_("queue"), max_length=100, default="", blank=True)
    jobs = models.PositiveIntegerField(_("jobs"), default=0)
    job_ids = models.JSONField(_("ids of the jobs"), default=list, blank=True)
    # The first entry of the log of Django's admin that says the same: what is older is shown from there.
    log_entry = models.BigIntegerField(null=True, blank=True)

    objects = TolerantManager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        verbose_name = _("what an operator did")
        verbose_name_plural = _("what operators did")
        indexes = [
            models.Index(fields=["who", "-id"], name="jobqueue_audit_who"),
            models.Index(fields=["verb", "-id"], name="jobqueue_audit_verb"),
            models.Index(fields=["object_type", "object_id", "-id"], name="jobqueue_audit_object"),
            models.Index(fields=["queue", "-id"], name="jobqueue_audit_queue"),
            models.Index(fields=["at"], name="jobqueue_audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} #{self.pk}"


_DISTINCT = """
    WITH RECURSIVE seen(value, place) AS (
        SELECT MIN({column}), 1 FROM {table} WHERE {column} > ''
        UNION ALL
        SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > seen.value), place + 1
        FROM seen WHERE seen.value IS NOT NULL AND place < %s
    )
    SELECT value FROM seen WHERE value IS NOT NULL
"""


def known_values(field: str, most: int) -> Sequence[str]:
    """The values that a column of the audit has, in their order: a look into its index for each."""
    connection = connections[AuditEntry.objects.db]
    names = {"column": field, "table": AuditEntry._meta.db_table}
    quoted = {name: connection.ops.quote_name(text) for name, text in names.items()}
    with connection.cursor() as cursor:
        cursor.execute(_DISTINCT.format(**quoted), [most])
        return [row[0] for row in cursor.fetchall()]


def jobs_of(entry_id: int, jobs: models.QuerySet[Job]) -> models.QuerySet[Job]:
    """Those of the jobs that this action changed; none where there is no such entry."""
    entry = AuditEntry.objects.filter(pk=entry_id).only("job_ids").first()
    ids = entry.job_ids if entry is not None and isinstance(entry.job_ids, list) else []
    return jobs.filter(pk__in=[number for number in ids if isinstance(number, int)])
