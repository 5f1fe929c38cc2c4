"""What each letter is called on the pages: its template's name is for programs."""

from __future__ import annotations

from typing import Any, Final

from django.utils.translation import gettext_lazy as _

LETTER_WORDS: Final[dict[str, Any]] = {
    "reminder_initial": _("initial reminder"),
    "reminder_follow_up": _("follow-up reminder"),
    "reminder_final": _("final reminder"),
    "reminder_overdue": _("overdue reminder"),
    "settlement_reminder": _("reminder"),
    "settlement_created": _("new settlement"),
    "settlement_updated": _("settlement changed"),
    "settlement_completed": _("settlement completed"),
    "settlement_cancelled": _("settlement cancelled"),
    "settlement_reopened": _("settlement reopened"),
    "settlement_released": _("nothing to pay any more"),
    "payment_received": _("payment received"),
    "payment_failed": _("payment failed"),
    "payment_refunded": _("payment refunded"),
    "payment_refund_taken_back": _("refund taken back"),
}


def letter_word(template_type: str) -> str:
    """What people call a letter of this template; of one that is not known here the template's name."""
    return str(LETTER_WORDS.get(template_type, template_type))
