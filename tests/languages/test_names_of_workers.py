"""No page shows the 32 digits that stand for the name of a worker that was given none."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from jobqueue.models import Attempt, AuditEntry, Worker
from settlements.models import Settlement
from tests.browser import scene
from tests.jobqueue.admin.steps import add_attempt, text_of

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]
MADE_UP = "54b9ccffe64f4db7a80a98a7a67fdae7.1"
_NOT_SEEN = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
_DIGITS = re.compile(r"\b[0-9a-f]{32}\b")


def test_no_page_shows_them(settlement: Settlement, payer: User, admin_client: Client) -> None:
    site = scene.build(settlement, payer)
    Worker.objects.update(name=MADE_UP)
    Attempt.objects.update(worker_name=MADE_UP)
    add_attempt(site.jobs["stuck"], worker_name=MADE_UP)
    AuditEntry.objects.create(who="ann", verb="Stop", object_type="jobqueue.worker", object_name=MADE_UP)
    worker = Worker.objects.filter(takes_orders=True).latest("started_at")
    order = reverse("admin:jobqueue_worker_order", args=[worker.pk])
    admin_client.post(order, {"order": "quiet"})
    assert AuditEntry.objects.filter(object_type="jobqueue.worker", verb="Quiet").exists()

    found = []
    for name, address in scene.pages_of(site).items():
        answer = admin_client.get(address, follow=True)
        if answer["Content-Type"].startswith("text/html"):
            found += [(name, digits) for digits in _DIGITS.findall(_NOT_SEEN.sub(" ", text_of(answer)))]
    assert not found
