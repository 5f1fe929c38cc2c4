"""Who owes whom how much until when."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition
from djmoney.models.fields import MoneyField
from moneyed import Money

from jobqueue.jobs import about_now
from settlements.exceptions import InvalidDecision
from settlements.models.announced import AnnouncedMixin
from settlements.money import (
    MAX_DIGITS,
    STORED_PLACES,
    AmountField,
    amount_to_write,
    check_amount,
    validate_settlement_amount,
)
from settlements.standing import Decision, Standing, counted, standing_of

BY_PROGRAM = "set by the program"
"""Why a status was set by hand, where nobody said why."""


class Settlement(AnnouncedMixin):
    """`payer` owes `payee` `amount` until `due_date`.

    The status follows the completed payments (`settlements.standing`), except that somebody may decide it:
    who calls the debt off, or completes it though no payments cover it, leaves a decision on the row, with
    who, when and why. Opening the settlement again takes the decision back.
    """

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

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        PARTIALLY_PAID = "partially_paid", _("partially paid")
        COMPLETED = "completed", _("completed")
        CANCELLED = "cancelled", _("cancelled")

    OPEN = (Status.PENDING, Status.PARTIALLY_PAID)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    description = models.CharField(_("description"), max_length=200, default="", blank=True)
    payer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="settlements_to_pay", verbose_name=_("payer")
    )
    payee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="settlements_to_receive",
        verbose_name=_("payee"),
    )
    amount = MoneyField(
        _("amount"),
        max_digits=MAX_DIGITS,
        decimal_places=STORED_PLACES,
        validators=[validate_settlement_amount],
    )
    due_date = models.DateTimeField(_("due date"))
    status = FSMField(_("status"), choices=Status.choices, default=Status.PENDING, db_index=True)
    reminders_paused = models.BooleanField(
        _("reminders paused"), default=False, help_text=_("No reminder goes out while this is set.")
    )
    history = models.BooleanField(
        _("history"),
        null=True,
        blank=True,
        default=None,
        help_text=_(
            "Nobody is told of what is history. Left open, that is what is created completed or cancelled, "
            "or after its last reminder would have gone."
        ),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    announced_status = models.CharField(max_length=20, default="", blank=True, editable=False)
    announced_due_date = models.DateTimeField(null=True, blank=True, editable=False)
    announced_payer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        blank=True,
        editable=False,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    payer_term = models.PositiveIntegerField(
        _("payers before this one"), default=0, db_default=0, editable=False
    )
    payer_since = models.DateTimeField(_("payer since"), null=True, blank=True, editable=False)
    decided_status = models.CharField(
        _("decided status"),
        max_length=20,
        default="",
        db_default="",
        blank=True,
        editable=False,
        choices=Status.choices,
    )
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True, editable=False)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        db_index=False,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decision_reason = models.CharField(
        _("reason of the decision"), max_length=500, default="", db_default="", blank=True, editable=False
    )
    decided_paid = AmountField(
        _("paid when it was decided"),
        max_digits=MAX_DIGITS + 3,
        decimal_places=STORED_PLACES,
        default=Decimal(0),
        db_default=Decimal(0),
        editable=False,
    )

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("settlement")
        verbose_name_plural = _("settlements")
        permissions = [("decide_settlement", _("Can complete, cancel and reopen settlements"))]
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="settlement_amount_not_negative")
        ]
        indexes = [
            models.Index(fields=["due_date"], name="settlement_due_date"),
            # What the reconciler looks for every half minute: hardly ever a row.
            models.Index(
                fields=["id"],
                condition=~models.Q(announced_status=models.F("status")),
                name="settlement_unannounced_status",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(announced_due_date__isnull=True)
                | ~models.Q(announced_due_date=models.F("due_date")),
                name="settlement_unannounced_due",
            ),
        ]

    def __str__(self) -> str:
        return self.description or f"settlement {self.pk}"

    # How it stands ------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether money is still owed."""
        return self.status in self.OPEN

    @property
    def decision(self) -> Decision | None:
        """The status that somebody set by hand; None where the payments say it."""
        return Decision(self.decided_status, self.decided_paid) if self.decided_status else None

    def paid(self) -> Money:
        """What the payments count; those in another currency count nothing."""
        currency = str(self.amount.currency)
        rows = self.payments.order_by().values_list("status", "amount", "refunded_amount", "amount_currency")
        return Money(sum((counted(*row, owed_in=currency) for row in rows), Decimal(0)), currency)

    def standing(self, paid: Decimal | None = None) -> Standing:
        """How the settlement stands by its payments and its decision; asks for the sum unless it is given."""
        return standing_of(self.amount.amount, self.paid().amount if paid is None else paid, self.decision)

    def standing_now(self, paid: Decimal | None = None) -> Standing:
        """How it stands; a status that was written without `save()` counts as the decision it will be."""
        if self.announced_status and self.announced_status != self.status:
            self.adopt_status(self.paid().amount if paid is None else paid)
        return self.standing(paid)

    def open_amount(self) -> Money:
        """What is still to be paid."""
        return Money(self.standing().open_amount, self.amount.currency)

    # Verbs --------------------------------------------------------------------------------------------

    @transition(field=status, source=[Status.PENDING, Status.PARTIALLY_PAID], target=Status.COMPLETED)
    def complete(self) -> None:
        """Mark as fully paid. Save afterwards."""

    @transition(field=status, source=[Status.PENDING, Status.COMPLETED], target=Status.PARTIALLY_PAID)
    def mark_partially_paid(self) -> None:
        """Mark as paid in part. Save afterwards; the payments say whether it is so."""

    @transition(field=status, source=[Status.PENDING, Status.PARTIALLY_PAID], target=Status.CANCELLED)
    def cancel(self) -> None:
        """Call the debt off. Save afterwards."""

    @transition(
        field=status,
        source=[Status.COMPLETED, Status.CANCELLED, Status.PARTIALLY_PAID],
        target=Status.PENDING,
    )
    def reopen(self) -> None:
        """Owe the money again. Save afterwards; what the payments cover stays completed."""

    def by_decision_of(self, user: Any, reason: str) -> Settlement:
        """Note who sets the status that the next save writes, and why; InvalidDecision if one is missing."""
        if not isinstance(user, get_user_model()):
            raise InvalidDecision(f"a decision is taken by a user, not by {type(user).__name__} {user!r:.40}")
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidDecision("a decision needs a reason, such as: paid in cash")
        self._decided_by, self._decision_reason = user, reason
        return self

    def follow_payments(self, paid: Decimal) -> bool:
        """Take the status that payments and decision call for; whether that is another. Save afterwards."""
        status = self.standing(paid).status
        if status == self.status:
            return False
        self.status, self._follows_payments = status, True
        return True

    def begin_term(self) -> None:
        """Somebody else has to pay: he gets reminders of his own, counted from now."""
        self.payer_term, self.payer_since = self.payer_term + 1, about_now()

    # Before it is written -----------------------------------------------------------------------------

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
        if was_closed and self.is_open and not self._follows_payments:
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
        if self.is_open:
            self._take_decision_back()
        elif self.status == self.Status.CANCELLED or paid < self.amount.amount:
            self._decide(paid)
