"""Each letter leaves only while it is true, whatever came between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core import mail
from pytest_django import Settings as DjangoSettings

from jobqueue.testing import run_job
from settlements.letters import LETTERS
from settlements.models import EmailDelivery
from tests.settlements.letters_document import is_documented
from tests.settlements.steps import domain_settings
from tests.settlements.truth_steps import ROWS, SENT, TABLE, World, decided

pytestmark = pytest.mark.django_db


PAID = "paid in full"


PAYMENT = "payment"


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def test_the_table_has_every_letter() -> None:
    assert set(TABLE) == set(LETTERS)


@pytest.mark.parametrize(("template_type", "change", "expected"), ROWS)
def test_a_letter_leaves_only_while_it_is_true(
    template_type: str, change: Callable[[World], None], expected: str
) -> None:
    world = decided(template_type)
    mail.outbox.clear()
    change(world)
    run_job(world.job)
    delivery = EmailDelivery.objects.get(job=world.job)
    if expected == SENT:
        assert (world.job.reason, delivery.status) == ("", "sent")
        assert [message.to for message in mail.outbox] == [[world.person.email]]
    else:
        assert expected in world.job.reason
        assert (delivery.status, delivery.error) == ("skipped", world.job.reason.removeprefix("skipped: "))
        assert mail.outbox == []
        assert is_documented(template_type, delivery.error)
