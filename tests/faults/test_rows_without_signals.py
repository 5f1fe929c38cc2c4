"""Rows that no signal tells of: the running workers find them by themselves."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone
from moneyed import Money

from settlements.models import EmailDelivery, Settlement
from tests.conftest import StartWorker, wait_until
from tests.settlements.smtp import Mailbox, smtp_server

FOUND_WITHIN = 60.0
"""Seconds after which the e-mails about rows written in bulk have gone out."""


def test_workers_find_settlements_created_in_bulk(rqworker: StartWorker, payer: User, payee: User) -> None:
    """With the settings that everybody has."""
    mailbox = Mailbox()
    with smtp_server(mailbox) as (host, port):
        Settlement.objects.bulk_create([_settlement(payer, payee) for _ in range(3)])
        worker = rqworker("--processes", "1", EMAIL_URL=f"smtp://{host}:{port}")
        worker.wait_for_line("reconciler settlements mended")  # the look it takes at its start
        Settlement.objects.bulk_create([_settlement(payer, payee) for _ in range(20)])
        begin = time.monotonic()
        # Each is told to both and has its first reminder.
        wait_until(lambda: len(mailbox.messages) >= 23 * 3, timeout=FOUND_WITHIN)
        took = time.monotonic() - begin
        wait_until(lambda: not EmailDelivery.objects.exclude(status="sent").exists())

    assert took < FOUND_WITHIN
    assert Counter(str(message["To"]) for message in mailbox.messages) == {payer.email: 46, payee.email: 23}


def _settlement(payer: User, payee: User) -> Settlement:
    due_date = timezone.now() + timedelta(days=10)
    return Settlement(payer=payer, payee=payee, amount=Money(100, "EUR"), due_date=due_date)
