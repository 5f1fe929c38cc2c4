"""What operators did: one row an action, however many jobs it changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from jobqueue.models.bulk import BulkAction
from jobqueue.models.job import Job
from jobqueue.models.written import TolerantManager
from jobqueue.sql.known_values import known_values as values_of
from jobqueue.sql.moments import edge

_LIKE_A_NUMBER = re.compile(r"[1-9]\d{0,17}", re.ASCII)
LONGEST_REASON = 500
MOST_JOBS_NAMED = 5_000
"""Jobs of one action whose ids are kept with it, or other records by their keys; a bulk action's jobs
point to its own row."""
MOST_TOGETHER = 1_000
"""So many of the latest actions on several are looked through, where no index says what they changed."""


class AuditEntry(models.Model):
    """Who did what to what, when and why. So many `jobs` were changed; `job_ids` can be listed.

    Of an action on several records that are no jobs their keys stand there, as texts.
    """

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


def known_values(field: str, most: int) -> Sequence[str]:
    """The values that a column of the audit has, in their order: a look into its index for each."""
    connection = connections[AuditEntry.objects.db]
    with connection.cursor() as cursor:
        cursor.execute(values_of(connection, AuditEntry._meta.db_table, field, most))
        return [row[0] for row in cursor.fetchall()]


class NamesAny(models.Func):
    """Whether one of these keys is among those that an entry keeps; what is no list has none."""

    output_field = models.BooleanField()

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(models.F("job_ids"))
        self.keys = tuple(keys)

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, Any]:
        """A look at each id: entries are narrowed by other columns first."""
        [column] = [compiler.compile(source)[0] for source in self.get_source_expressions()]
        wanted = ", ".join(["%s"] * len(self.keys)) or "NULL"
        if connection.vendor == "postgresql":
            listed = f"CASE jsonb_typeof({column}) WHEN 'array' THEN {column} ELSE '[]'::jsonb END"
            each = f"jsonb_array_elements_text({listed}) AS one(value)"
            return f"EXISTS (SELECT 1 FROM {each} WHERE one.value IN ({wanted}))", [*self.keys]
        is_list = f"CASE WHEN json_valid({column}) THEN json_type({column}) = 'array' END"
        listed = f"CASE WHEN {is_list} THEN {column} ELSE '[]' END"
        each = f"json_each({listed}) one WHERE CAST(one.value AS TEXT) IN ({wanted})"
        return f"EXISTS (SELECT 1 FROM {each})", [*self.keys]


def about_object(entries: models.QuerySet[AuditEntry], key: str, kind: str) -> models.QuerySet[AuditEntry]:
    """Those of the entries that are about the object of this key, alone or with others.

    `kind` is the label of its model, empty for those of all. Of the bulk actions on a job that is the last
    one, which its row names. PostgreSQL finds all of them by an index;
    elsewhere the newest MOST_TOGETHER actions on several are looked at.
    """
    known = AuditEntry.objects.filter(**({"object_type": kind} if kind else {})).order_by()
    if connections[entries.db].vendor == "postgresql":
        kept = [key, int(key)] if _LIKE_A_NUMBER.fullmatch(key) else [key]  # jobs by numbers, others by texts
        named = [known.filter(job_ids__contains=[one]) for one in kept]
    else:
        many = known.filter(object_id="").order_by("-id").values("pk")[:MOST_TOGETHER]
        named = [AuditEntry.objects.filter(NamesAny([key]), pk__in=many).order_by()]
    if kind in ("", Job._meta.label_lower) and (begun := _last_in_bulk(key)) is not None:
        named.append(AuditEntry.objects.filter(pk=begun).order_by())
    alone = known.filter(object_id=key)
    return entries.filter(pk__in=alone.values("pk").union(*(some.values("pk") for some in named)))


def _last_in_bulk(key: str) -> int | None:
    """The id of the entry with which the bulk action began that last changed the job of this key."""
    if not _LIKE_A_NUMBER.fullmatch(key):
        return None
    action = Job.objects.filter(pk=int(key)).values_list("bulk_action", flat=True).first()
    if action is None:
        return None
    entries = AuditEntry.objects.filter(object_type=BulkAction._meta.label_lower, object_id=str(action))
    return entries.order_by("pk").values_list("pk", flat=True).first()


def entries_about(
    records: Mapping[str, Sequence[str]], jobs: Sequence[Job], most: int, together: int
) -> list[AuditEntry]:
    """The newest `most` actions on these records, by label and keys, and on these jobs.

    Of actions on several the newest `together` of each kind are looked through.
    """
    label, using = Job._meta.label_lower, AuditEntry.objects.db
    keys = {**records, label: [str(job.pk) for job in jobs]}
    about, with_others = models.Q(pk__in=[]), []
    for name, texts in keys.items():
        if texts:
            about |= models.Q(object_type=name, object_id__in=list(texts))
            with_others.append(_with_others(name, texts, together, using))
    if jobs:
        # The time narrows what was found only: an index would be read to its end for what is older.
        with_others[-1] = with_others[-1].filter(at__gte=edge(min(job.created_at for job in jobs), using))
    shown = ("id", "at", "who", "verb", "text", "reason", "object_type", "object_id", "object_name", "jobs")
    found: Any = AuditEntry.objects.using(using).filter(about).order_by().values(*shown)
    rows = found.union(*(some.values(*shown) for some in with_others)).order_by("-id")[:most]
    return [AuditEntry(**row) for row in rows]


def _with_others(kind: str, keys: Sequence[str], together: int, using: str) -> models.QuerySet[AuditEntry]:
    """The actions on several objects of a kind, one of these among them: of the newest `together` such."""
    entries = AuditEntry.objects.using(using)
    many = entries.filter(object_type=kind, object_id="").order_by("-id").values("pk")[:together]
    return entries.filter(NamesAny(keys), pk__in=many).order_by()


def entries_of_job(job: Job, most: int, together: int) -> list[AuditEntry]:
    """The newest `most` actions on this job, alone or with others, the latest first.

    PostgreSQL finds all of them by an index; elsewhere the newest `together` actions on many are looked at.
    """
    entries = AuditEntry.objects.filter(object_type=Job._meta.label_lower).order_by()
    # Not ordered or cut there: the index of that order would be walked for what few rows name.
    if connections[entries.db].vendor == "postgresql":
        found = entries.filter(job_ids__contains=[job.pk])
    else:
        many = entries.filter(object_id="").order_by("-id").values("pk")[:together]
        # Without the kind of object, which `many` has: its index would be read to the end.
        key, begin = str(job.pk), edge(job.created_at, entries.db)
        named = AuditEntry.objects.filter(NamesAny([key]), pk__in=many, at__gte=begin).order_by()
        alone = entries.filter(object_id=key)
        found = AuditEntry.objects.filter(pk__in=alone.values("pk").union(named.values("pk"))).order_by()
    return sorted(found, key=lambda entry: entry.pk, reverse=True)[:most]


def jobs_of(entry_id: int, jobs: models.QuerySet[Job]) -> models.QuerySet[Job]:
    """Those of the jobs that this action changed; none where there is no such entry."""
    entry = AuditEntry.objects.filter(pk=entry_id).only("job_ids").first()
    ids = entry.job_ids if entry is not None and isinstance(entry.job_ids, list) else []
    return jobs.filter(pk__in=[number for number in ids if isinstance(number, int)])
