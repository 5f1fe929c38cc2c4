"""Who is told of a settlement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from settlements.models import Payment, Settlement
from tests.settlements.steps import (
    emails_sent,
)

MakeSettlement = Callable[..., Settlement]


MakePayment = Callable[..., Payment]


DAY = timedelta(days=1)


PAYER, PAYEE = "payer@example.com", "payee@example.com"


def about_the_settlement() -> list[tuple[str, str]]:
    """The e-mails that went out about the settlement itself."""
    return [email for email in emails_sent() if email[0].startswith("settlement")]


def both(template_type: str) -> list[tuple[str, str]]:
    """One e-mail of that type to each of the two."""
    return [(template_type, PAYEE), (template_type, PAYER)]
