"""What pages call what was sent: in words, not by what programs call it."""

from __future__ import annotations

import pytest

from settlements.models import EmailDelivery, ReminderDelivery


def test_an_e_mail_is_named_by_its_letter() -> None:
    sent = EmailDelivery(template_type="payment_refunded", status=EmailDelivery.Status.SENT)
    assert str(sent) == "payment refunded (sent)"


@pytest.mark.parametrize(
    ("kind", "step", "name"), [("initial", 0, "initial"), ("follow_up", 2, "follow-up 2")]
)
def test_a_reminder_has_the_number_of_its_step_where_there_are_more(kind: str, step: int, name: str) -> None:
    assert str(ReminderDelivery(reminder_type=kind, step=step)) == name
