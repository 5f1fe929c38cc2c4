"""Whom failed jobs about settlements are about, and how much: asked by the job queue's pages."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from contextlib import suppress

from django.http import HttpRequest

from jobqueue.admin import Concern, tells_concerns
from jobqueue.models import subject_of
from settlements.admin.amounts import shown_number
from settlements.models import Settlement


@tells_concerns
def of_settlements(subjects: Collection[str], request: HttpRequest) -> dict[str, Concern]:
    """Payer, payee and amount of each settlement among these, for who may see settlements."""
    if not request.user.has_perm("settlements.view_settlement"):
        return {}
    keys = [key for key in map(key_of, subjects) if key is not None]
    if not keys:
        return {}
    rows = Settlement.objects.filter(pk__in=keys).values_list(
        "pk", "payer_id", "payee_id", "amount", "amount_currency"
    )
    return {
        subject_of(Settlement(pk=key)): Concern(
            frozenset({payer, payee}), ((currency, shown_number(amount, currency)),)
        )
        for key, payer, payee, amount, currency in rows
    }


def key_of(subject: str) -> uuid.UUID | None:
    """The key of the settlement that a job is about, if its subject names one."""
    label, _colon, key = subject.partition(":")
    if label == Settlement._meta.label_lower:
        with suppress(ValueError):
            return uuid.UUID(key)
    return None
