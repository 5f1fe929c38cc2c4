"""What e-mails are made of."""

from __future__ import annotations

import re
from typing import Any

FULL: dict[str, Any] = {
    "amount": "1250.00",
    "currency": "EUR",
    "remaining": "450.00",
    "due_date": "2030-05-03T14:30:00+00:00",
    "description": "Summer house",
    "status": "partially paid",
    "payer_name": "Pia Payer",
    "payee_name": "Emil Payee",
    "recipient_name": "Pia Payer",
    "recipient_role": "payer",
    "payment_amount": "300",
    "failure_reason": "card expired",
    "settlement_url": "https://app.example.com/settlements/1/",
}


def folded(text: str) -> str:
    """A plain text body with its lines joined."""
    return " ".join(re.split(r"[ \n]+", text))
