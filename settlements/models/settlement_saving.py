"""What a save makes of a settlement: its decision, its term and its history are kept true."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django.utils import timezone
from moneyed import Money

from jobqueue.jobs import about_now
from settlements.models.announced import AnnouncedMixin
from settlements.money import amount_to_write, check_amount
from settlements.standing import standing_of

BY_PROGRAM = "set by the program"
"""Why a status was set by hand, where nobody said why."""


class SettlementSavingMixin(AnnouncedMixin):
    """What settlements keep beside their fields, and how each save leaves it."""

    # Of `Settlement`, whose fields these are.
    Status: ClassVar[Any]
    OPEN: ClassVar[tuple[str, ...]]
    status: Any
    amount: Any
    payer_term: int
    history: bool | None
    payer_since: datetime | None
    decided_at: datetime | None

    ANNOUNCED = {
        "status": "announced_status",
        "due_date": "announced_due_date",
        "payer_id": "announced_payer_id",
    }
    KEPT: ClassVar[dict[str, tuple[str, ...]]] = {
        "status": (
            "decided_status",
            "decided_at",
            "decided_by",
            "decision_reason",
            "decided_paid",
            "history",
        ),
        "payer": ("payer_term", "payer_since"),
    }
    READ_BEFORE_SAVE = ("amount", "amount_currency")
    TOGETHER = (frozenset({"amount", "amount_currency"}),)
    AS_LOADED = frozenset({"status", "payer_id"})

    class Meta:
        abstract = True

    _decided_by: Any = None
    _decision_reason: str = ""
    _follows_payments: bool = False
    _asked_history: bool | None = None
    payer_told_before: Any = None
    """The primary key of the payer whom the jobs knew of before the latest save."""

    def before_save(self, stored: Mapping[str, Any] | None) -> None:
        """Make the row right before it is written: `stored` is what it holds, None if it is new."""
        self._asked_history = self.__dict__.get("history")
        super().before_save(stored)

    def keep_true(self, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> None:
        """Refuse amounts that cannot be; keep decisions, status and payer's term as this save makes them."""
        self._check_amount(stored, written)
        if stored is None:
            self._begin()
        elif self.changes("status", stored, written) and isinstance(self.status, str):
            self._set_status(stored, written)
        if stored is not None and (written is None or "history" in written):
            self._set_history(stored)
        self.payer_told_before = stored["announced_payer_id"] if stored is not None else None
        if stored is not None and self.changes("payer_id", stored, written):
            self.begin_term()
        self._decided_by, self._decision_reason, self._follows_payments = None, "", False

    def _check_amount(self, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> None:
        if "amount" not in self.__dict__ or not isinstance(self.amount, Money):
            return
        if not self._writes_amount(written):
            return
        # What is no number cannot even be compared.
        if not self.amount.amount.is_finite() or any(
            self.changes(name, stored, written) for name in ("amount", "amount_currency")
        ):
            check_amount(amount_to_write(self), "the amount of a settlement", zero_allowed=True)

    def _writes_amount(self, written: Collection[str] | None) -> bool:
        return "amount" in self.__dict__ and (written is None or "amount" in written)

    def written_currency(self) -> str | None:
        """The currency that the save in hand writes; None if it writes none."""
        currency = self.__dict__.get("amount_currency")
        return currency if isinstance(currency, str) and self._writes_amount(self._named) else None

    def _begin(self) -> None:
        if self.status in (self.Status.COMPLETED, self.Status.CANCELLED):
            self._decide(Decimal(0))
        elif isinstance(self.amount, Money) and self.amount.amount == 0:
            self.status = self.Status.COMPLETED

    def _set_status(self, stored: Mapping[str, Any], written: Collection[str] | None) -> None:
        """A closed status that payments do not call for is a decision; an open one follows the payments."""
        amount = stored["amount"]
        if self._writes_amount(written):
            amount = getattr(self.amount, "amount", amount)
        by_payments = standing_of(amount, stored["counted"]).status
        if self.status == self.Status.CANCELLED or (
            self.status == self.Status.COMPLETED and (by_payments != self.status or self._decision_reason)
        ):
            self._decide(stored["counted"])
            return
        self._take_decision_back()
        self.status = by_payments
        was_closed = stored["status"] in (self.Status.COMPLETED, self.Status.CANCELLED)
        if was_closed and self.status in self.OPEN and not self._follows_payments:
            self.history = False

    def _set_history(self, stored: Mapping[str, Any]) -> None:
        """As somebody says now; an instance that says nothing, or the same, leaves what the row says."""
        if self._asked_history is not None and self._asked_history != stored["history"]:
            self.history = self._asked_history

    def _decide(self, paid: Decimal) -> None:
        self.decided_status, self.decided_at, self.decided_paid = self.status, timezone.now(), paid
        self.decided_by = self._decided_by
        self.decision_reason = self._decision_reason or BY_PROGRAM

    def _take_decision_back(self) -> None:
        self.decided_status, self.decided_at, self.decided_paid = "", None, Decimal(0)
        self.decided_by, self.decision_reason = None, ""

    def adopt_status(self, paid: Decimal) -> None:
        """Make a decision of a status that was written without `save()`, unless payments call for it."""
        if self.status in self.OPEN:
            self._take_decision_back()
        elif self.status == self.Status.CANCELLED or paid < self.amount.amount:
            self._decide(paid)

    def begin_term(self) -> None:
        """Somebody else has to pay: he gets reminders of his own, counted from now."""
        self.payer_term, self.payer_since = self.payer_term + 1, about_now()
