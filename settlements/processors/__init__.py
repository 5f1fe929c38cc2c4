"""The processors of the settlements domain. Importing this package registers them."""

from settlements import reconcile
from settlements.processors import email, reminders, settlement

__all__ = ["email", "reconcile", "reminders", "settlement"]
