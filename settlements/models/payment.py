"""What was paid towards a settlement, and what of it went back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition
from djmoney.models.fields import MoneyField
from djmoney.models.managers import money_manager
from moneyed import Money

from jobqueue.models import WrittenManager
from settlements.exceptions import InvalidFailureReason, InvalidRefund
from settlements.models.payment_saving import PaymentSavingMixin
from settlements.models.settlement import Settlement
from settlements.money import (
    MAX_DIGITS,
    STORED_PLACES,
    AmountField,
    check_amount,
    validate_payment_amount,
)
from settlements.templatetags.settlement_format import money

LONGEST_FAILURE_REASON: Final = 200


class Payment(PaymentSavingMixin):
    """One transfer of money towards a settlement.

    A part of it that went back stands in `refunded_amount`, in the currency of the payment, and leaves it
    `completed`; a payment that went back whole is `refunded`, and `refunded_amount` is its amount.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        PROCESSING = "processing", _("processing")
        COMPLETED = "completed", _("completed")
        FAILED = "failed", _("failed")
        REFUNDED = "refunded", _("refunded")

    UNSETTLED = (Status.PENDING, Status.PROCESSING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    settlement = models.ForeignKey(
        Settlement, models.CASCADE, related_name="payments", verbose_name=_("settlement")
    )
    amount = MoneyField(
        _("amount"), max_digits=MAX_DIGITS, decimal_places=STORED_PLACES, validators=[validate_payment_amount]
    )
    refunded_amount = AmountField(
        _("refunded amount"),
        max_digits=MAX_DIGITS,
        decimal_places=STORED_PLACES,
        default=Decimal(0),
        db_default=Decimal(0),
        blank=True,
        help_text=_("How much of it went back, in its currency. A part leaves the payment completed."),
    )
    status = FSMField(_("status"), choices=Status.choices, default=Status.PENDING, db_index=True)
    failure_reason = models.CharField(
        _("failure reason"), max_length=LONGEST_FAILURE_REASON, default="", blank=True
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    announced_status = models.CharField(max_length=20, default="", blank=True, editable=False)

    objects = money_manager(WrittenManager())

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        permissions = [
            ("start_payment", _("Can mark payments as processing")),
            ("complete_payment", _("Can complete payments")),
            ("fail_payment", _("Can mark payments as failed")),
            ("refund_payment", _("Can refund payments")),
            ("take_back_payment", _("Can take refunds of payments back")),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="payment_amount_not_negative"),
            models.CheckConstraint(
                condition=models.Q(refunded_amount__gte=0), name="payment_refund_not_negative"
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=~models.Q(announced_status=models.F("status")),
                name="payment_unannounced_status",
            ),
            # The order of the list: to sort 100,000 took 130 ms.
            models.Index(fields=["-created_at", "-id"], name="payment_newest"),
        ]

    def __str__(self) -> str:
        # Not as `Money` writes itself: locales leave out digits that are owed.
        return f"{money(self.amount)} ({self.get_status_display()})"

    @property
    def refunded(self) -> Money:
        """What of the payment went back, with its currency."""
        return Money(self.refunded_amount, self.amount.currency)

    @property
    def left(self) -> Money:
        """What of the payment has not gone back."""
        return Money(self.amount.amount - self.refunded_amount, self.amount.currency)

    @property
    def is_refunded_in_part(self) -> bool:
        """Whether a part of it went back, and the rest still counts."""
        return bool(self.refunded_amount) and self.status == self.Status.COMPLETED

    @property
    def failed_because(self) -> str:
        """Why it failed, as the payer reads it; empty for a payment that is not failed now."""
        return self.failure_reason if self.status == self.Status.FAILED else ""

    # Verbs --------------------------------------------------------------------------------------------

    @transition(field=status, source=[Status.PENDING], target=Status.PROCESSING)
    def start(self) -> None:
        """The provider works on it. Save afterwards."""

    @transition(
        field=status, source=[Status.PENDING, Status.PROCESSING, Status.FAILED], target=Status.COMPLETED
    )
    def complete(self) -> None:
        """The money arrived: what it failed for before is history. Save afterwards."""
        self.failure_reason = ""

    @transition(
        field=status, source=[Status.PENDING, Status.PROCESSING, Status.COMPLETED], target=Status.FAILED
    )
    def fail(self, reason: str = "") -> None:
        """The money did not arrive, for this reason, which the payer reads. Save afterwards.

        Raises InvalidFailureReason if it is longer than LONGEST_FAILURE_REASON.
        """
        if len(reason) > LONGEST_FAILURE_REASON:
            raise InvalidFailureReason(
                f"the reason that the payer reads has at most {LONGEST_FAILURE_REASON} characters, "
                f"not {len(reason)}"
            )
        if reason:
            self.failure_reason = reason

    @transition(field=status, source=[Status.COMPLETED], target=Status.REFUNDED)
    def refund(self) -> None:
        """All of it went back. Save afterwards."""

    @transition(field=status, source=[Status.REFUNDED], target=Status.COMPLETED)
    def take_refund_back(self) -> None:
        """Nothing of it went back after all. Save afterwards."""

    def give_back(self, amount: Decimal | None = None) -> None:
        """So much of it went back, on top of what had; without an amount all that is left. Save afterwards.

        Raises InvalidAmount, InvalidRefund, or TransitionNotAllowed if the money never arrived.
        """
        left, currency = self.left.amount, self.amount.currency
        if amount is None or amount == left:
            self.refund()
            return
        check_amount(Money(amount, currency), "the amount that goes back", zero_allowed=False)
        if amount > left:
            raise InvalidRefund(
                f"at most {money(left, currency)} of it are left to go back, not {money(amount, currency)}"
            )
        self.refunded_amount += amount

    def take_back(self) -> None:
        """Nothing of it went back after all, be it all of it that had or a part. Save afterwards."""
        if self.status == self.Status.REFUNDED:
            self.take_refund_back()
        else:
            self.refunded_amount = Decimal(0)

    deleted_row: Mapping[str, Any] | None = None
    """What the row said right before it was deleted."""


class PaidByPayments(models.Func):
    """What payments count towards the settlement of an outer query: the sum of `standing.counted` in SQL.

    `settlement` and `currency` name columns of the outer query; the currency may be a value. It is one text
    and no subquery of the ORM's, because every save and every letter asks for it.
    """

    output_field = models.DecimalField(max_digits=MAX_DIGITS + 3, decimal_places=STORED_PLACES)

    def __init__(self, settlement: str = "pk", currency: str | models.Value = "amount_currency") -> None:
        super().__init__(models.F(settlement), models.F(currency) if isinstance(currency, str) else currency)

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, Any]:
        """The sum as a subquery."""
        settlement, currency = (compiler.compile(source) for source in self.get_source_expressions())
        table = connection.ops.quote_name(Payment._meta.db_table)
        text = f"""(
            SELECT COALESCE(SUM(
                CASE WHEN amount > refunded_amount THEN amount - refunded_amount ELSE 0 END
            ), 0)
            FROM {table} paid
            WHERE paid.settlement_id = {settlement[0]} AND paid.status = '{Payment.Status.COMPLETED.value}'
            AND paid.amount_currency = {currency[0]}
        )"""
        return text, [*settlement[1], *currency[1]]
