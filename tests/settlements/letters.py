"""Letters from their templates as they are, with values made by hand: no rows, no jobs, no look-ups."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any

from moneyed import Money

from settlements import emails

NAMES = (
    "amount",
    "currency",
    "due_date",
    "description",
    "status",
    "payer_name",
    "payee_name",
    "recipient_name",
    "recipient_role",
    "remaining",
    "payment_amount",
    "failure_reason",
    "settlement_url",
)
LATER_NAMES = ("is_past_due", "is_open", "is_cancelled", "overpaid", "refunded_amount")

REMINDERS = (
    "reminder_initial",
    "reminder_follow_up",
    "reminder_final",
    "reminder_overdue",
    "settlement_reminder",
)
PAYMENTS = ("payment_received", "payment_failed", "payment_refunded", "payment_refund_taken_back")
NEWS = ("settlement_created", "settlement_updated", "settlement_reopened")
ENDS = ("settlement_completed", "settlement_cancelled", "settlement_released")
EVERY_TYPE = (*REMINDERS, *PAYMENTS, *NEWS, *ENDS)
SPEAK_OF_THE_BALANCE = (*REMINDERS, *PAYMENTS, *NEWS)

DUE = datetime(2030, 5, 3, 14, 30, tzinfo=UTC)
UNPAID: dict[str, Any] = {
    "amount": Money("100.00", "EUR"),
    "currency": "EUR",
    "due_date": DUE,
    "description": "Dinner",
    "status": "pending",
    "payer_name": "Pia Payer",
    "payee_name": "Emil Payee",
    "recipient_name": "Pia Payer",
    "recipient_role": "payer",
    "remaining": Money("100.00", "EUR"),
    "payment_amount": Money("30.00", "EUR"),
    "settlement_url": "https://app.example.com/settlements/1/",
    "is_past_due": False,
    "is_open": True,
    "is_cancelled": False,
}
PART_PAID = UNPAID | {"remaining": Money("70.00", "EUR"), "status": "partially paid"}
COMPLETED = UNPAID | {"remaining": Money(0, "EUR"), "status": "completed", "is_open": False}
OVERPAID = COMPLETED | {"overpaid": Money("5.00", "EUR")}
CANCELLED = COMPLETED | {"status": "cancelled", "is_cancelled": True, "overpaid": Money("30.00", "EUR")}
LATE = PART_PAID | {"is_past_due": True}
PART_REFUNDED = PART_PAID | {"refunded_amount": Money("10.00", "EUR")}
ONLY_AN_AMOUNT: dict[str, Any] = {"amount": 50, "currency": "USD"}
SITUATIONS: dict[str, dict[str, Any]] = {
    "unpaid": UNPAID,
    "part paid": PART_PAID,
    "completed": COMPLETED,
    "overpaid": OVERPAID,
    "cancelled": CANCELLED,
    "late": LATE,
    "part refunded": PART_REFUNDED,
    "only an amount": ONLY_AN_AMOUNT,
    "empty": {},
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as its reader sees it: each part with its lines joined."""

    subject: str
    text: str
    html: str

    @property
    def everything(self) -> str:
        """All that the reader sees, for what must not be anywhere in it."""
        return "\n".join((self.subject, self.text, self.html))


def letter(template_type: str, values: dict[str, Any], **others: Any) -> Letter:
    """The letter of that type, with `values` and, winning over them, `others`."""
    email = emails.render_values(template_type, "", values | others)
    return Letter(folded(email.subject), folded(email.text), visible(email.html))


def lead_of(template_type: str, values: dict[str, Any]) -> str:
    """The sentences that a letter begins with."""
    context = dict.fromkeys(emails.VALUES) | values
    name = f"email/{template_type}.lead.txt"
    return folded(emails._render_template(name, context | emails._balance(context), autoescape=False))


def folded(text: str) -> str:
    """The text in one line."""
    return " ".join(text.split())


def visible(html: str) -> str:
    """What a reader sees of an HTML page, without the title and the preview."""
    body = html.partition("</h1>")
    heading = body[0].rpartition('<p class="label')[2].partition(">")[2]
    return folded(unescape(re.sub(r"<!--.*?-->|<[^>]*>", " ", heading + body[2], flags=re.DOTALL)))
