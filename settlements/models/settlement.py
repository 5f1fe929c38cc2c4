"""Who owes whom how much until when."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition
from djmoney.models.fields import MoneyField
from djmoney.models.managers import money_manager
from moneyed import Money

from jobqueue.masking import without_turns
from jobqueue.models import WrittenManager
from settlements.exceptions import InvalidDecision
from settlements.models.settlement_saving import SettlementSavingMixin
from settlements.money import (
    MAX_DIGITS,
    STORED_PLACES,
    AmountField,
    validate_settlement_amount,
)
from settlements.standing import Decision, Standing, counted, standing_of

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.utils.functional import _StrPromise

    from settlements.models.payment import Payment

_PERMISSIONS: list[tuple[str, str | _StrPromise]] = [
    ("complete_settlement", _("Can complete settlements")),
    ("cancel_settlement", _("Can cancel settlements")),
    ("reopen_settlement", _("Can reopen settlements")),
    ("remind_settlement", _("Can send a reminder of a settlement now")),
    ("pause_settlement", _("Can pause reminders of settlements")),
    ("resume_settlement", _("Can resume reminders of settlements")),
    ("check_settlement", _("Can have payments of settlements checked")),
]


_SHOWN = "_payments_shown"


def show_beside(settlement: Settlement, payments: QuerySet[Payment]) -> None:
    """Have an instance that only a page shows make its sums of the payments that are shown beside it."""
    vars(settlement)[_SHOWN] = payments
    vars(settlement).setdefault("_prefetched_objects_cache", {})["payments"] = payments


def _amounts_of(settlement: Settlement) -> Iterable[tuple[str, Decimal, Decimal, str]]:
    """Status, amount, what was refunded and currency of each payment, as the rows are now.

    Not of payments that were prefetched: what is decided by their sum must not be older than the question.
    """
    shown = vars(settlement).get(_SHOWN)
    if shown is not None:
        return [
            (one.status, one.amount.amount, one.refunded_amount, str(one.amount.currency)) for one in shown
        ]
    rows = settlement.payments.order_by()
    return rows.values_list("status", "amount", "refunded_amount", "amount_currency")


_INDEXES = [
    models.Index(fields=["due_date"], name="settlement_due_date"),
    # The order of the list: to sort 100,000 took 130 ms.
    models.Index(fields=["-created_at", "-id"], name="settlement_newest"),
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


class Settlement(SettlementSavingMixin):
    """`payer` owes `payee` `amount` until `due_date`.

    The status follows the completed payments (`settlements.standing`), except that somebody may decide it:
    who calls the debt off, or completes it though no payments cover it, leaves a decision on the row, with
    who, when and why. Opening the settlement again takes the decision back.
    """

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
    objects = money_manager(WrittenManager())

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("settlement")
        verbose_name_plural = _("settlements")
        permissions = _PERMISSIONS
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="settlement_amount_not_negative")
        ]
        indexes = _INDEXES

    def __str__(self) -> str:
        return without_turns(self.description) or gettext("settlement %(key)s") % {"key": self.pk}

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
        rows = _amounts_of(self)
        return Money(sum((counted(*row, owed_in=currency) for row in rows), Decimal(0)), currency)

    def standing(self, paid: Decimal | None = None) -> Standing:
        """How the settlement stands by its payments and its decision; asks for the sum unless it is given."""
        return standing_of(self.amount.amount, self.paid().amount if paid is None else paid, self.decision)

    def standing_now(self, paid: Decimal | None = None) -> Standing:
        """How it stands; a status that was written without `save()` counts as the decision it will be."""
        if self.announced_status and self.announced_status != self.status:
            self.adopt_status(self.paid().amount if paid is None else paid)
        return self.standing(paid)

    def is_covered(self) -> bool:
        """Whether the payments cover it, whatever somebody decided."""
        return standing_of(self.amount.amount, self.paid().amount).status == self.Status.COMPLETED

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
