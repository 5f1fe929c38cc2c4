"""The real e-mail job, and how a plain RQ function runs the same code."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def payload_of(number: int) -> dict[str, Any]:
    """What `add_email_notification_job` writes for a settlement's e-mail to its payer."""
    user_id, settlement_id = _settlement()
    return {
        "user_id": user_id,
        "email": f"recipient-{number}@example.com",
        "email_subject": "",
        "template_type": "settlement_created",
        "template_data": {"settlement_id": settlement_id},
    }


@lru_cache(maxsize=1)
def _settlement() -> tuple[int, str]:
    from benchmarks.site.people import make_quiet_settlement

    settlement = make_quiet_settlement()
    return settlement.payer_id, str(settlement.pk)


def send(**payload: Any) -> None:
    """The function for stock RQ: what our worker calls for `email.notification`."""
    from settlements.processors import email

    email.send(**payload)
