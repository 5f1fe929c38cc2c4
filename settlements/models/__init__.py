"""Who owes whom how much until when, what was paid, and which letters went out."""

from settlements.models.addresses import BarredAddress
from settlements.models.announced import AnnouncedMixin
from settlements.models.deliveries import Cancellation, EmailDelivery, ReminderDelivery, ReminderType
from settlements.models.discrepancy import Discrepancy
from settlements.models.payment import Payment, paid_by_payments
from settlements.models.settlement import Settlement

__all__ = [
    "AnnouncedMixin",
    "BarredAddress",
    "Cancellation",
    "Discrepancy",
    "EmailDelivery",
    "Payment",
    "ReminderDelivery",
    "ReminderType",
    "Settlement",
    "paid_by_payments",
]
