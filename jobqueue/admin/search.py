"""Search of jobs by id, by what they are about and by processor: lookups that an index answers."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.admin import AdminSite
from django.db import models
from django.http import HttpRequest

from jobqueue.admin.panel import JobsPanelMixin
from jobqueue.admin.subjects import subject_texts
from jobqueue.models import subject_of
from jobqueue.registry import all_processors

_JOB_OR_MESSAGE = re.compile(r"^#?(\d{1,19})(?:-\d+)?$", re.ASCII)
_MOST_RECORDS = 100


def search_jobs(
    jobs: models.QuerySet[Any], text: str, request: HttpRequest, site: AdminSite
) -> models.QuerySet[Any]:
    """The jobs that `text` names.

    A number is a job's id (`17`, `#17`, or the message `17-2`). Text with a colon is a subject or, if no
    job is about exactly that, the start of one. Otherwise: the key of a record, part of a processor's
    name, or what a record with a panel of jobs is found by.
    """
    text = text.strip()
    number = _JOB_OR_MESSAGE.match(text)
    if number:
        return jobs.filter(pk=int(number[1]))
    if ":" in text:
        exact = jobs.filter(subject=text).exclude(subject="")
        if exact.exists():
            return exact
        # The lower bound lets the index find the start, whatever the database does with a prefix.
        return jobs.filter(subject__gte=text, subject__startswith=text).exclude(subject="")
    processors = [processor.name for processor in all_processors() if text.lower() in processor.name]
    if processors:
        return jobs.filter(processor__in=processors)
    subjects = [*subject_texts(text), *_subjects_found(text, request, site)]
    # The second condition is the index's: SQLite uses the index only where it is repeated.
    return jobs.filter(subject__in=subjects).exclude(subject="") if subjects else jobs.filter(processor=text)


def _subjects_found(text: str, request: HttpRequest, site: AdminSite) -> list[str]:
    """The subjects of the records that their own admin page finds by this text."""
    subjects: list[str] = []
    for model, model_admin in site._registry.items():
        if isinstance(model_admin, JobsPanelMixin) and model_admin.has_view_permission(request):
            records = model_admin.get_queryset(request)
            found, _duplicates = model_admin.get_search_results(request, records, text)
            subjects += [
                subject_of(model(pk=pk)) for pk in found.values_list("pk", flat=True)[:_MOST_RECORDS]
            ]
    return subjects
