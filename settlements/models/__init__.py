"""Who owes whom how much until when, what was paid, and which letters went out."""

from settlements.models.addresses import LONGEST_DETAIL, BarredAddress, IsBarred, longest_why, pause_detail
from settlements.models.announced import AnnouncedMixin
from settlements.models.deliveries import (
    Cancellation,
    EmailDelivery,
    MovedReminder,
    ReminderDelivery,
    ReminderType,
)
from settlements.models.discrepancy import Discrepancy
from settlements.models.kept_answers import KeptAnswer
from settlements.models.payment import LONGEST_FAILURE_REASON, PaidByPayments, Payment
from settlements.models.settlement import Settlement, show_beside

__all__ = [
    "AnnouncedMixin",
    "BarredAddress",
    "Cancellation",
    "Discrepancy",
    "EmailDelivery",
    "IsBarred",
    "KeptAnswer",
    "LONGEST_DETAIL",
    "LONGEST_FAILURE_REASON",
    "MovedReminder",
    "Payment",
    "ReminderDelivery",
    "ReminderType",
    "Settlement",
    "longest_why",
    "pause_detail",
    "show_beside",
    "PaidByPayments",
]
