"""What was paid towards a settlement, and what of it went back."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition
from djmoney.models.fields import MoneyField
from moneyed import Money

from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.models.announced import AnnouncedMixin
from settlements.models.settlement import Settlement
from settlements.money import (
    MAX_DIGITS,
    STORED_PLACES,
    AmountField,
    amount_to_write,
    check_amount,
    validate_payment_amount,
)


class Payment(AnnouncedMixin):
    """One transfer of money towards a settlement.

    A part of it that went back stands in `refunded_amount`, in the currency of the payment, and leaves it
    `completed`; a payment that went back whole is `refunded`, and `refunded_amount` is its amount.
    """

    ANNOUNCED = {"status": "announced_status"}
    WRITTEN_WITH: ClassVar[dict[str, tuple[str, ...]]] = {
        "status": ("refunded_amount",),
        "refunded_amount": ("status",),
        "amount": ("refunded_amount", "status"),
    }
    READ_BEFORE_SAVE = ("amount", "amount_currency", "refunded_amount")
    TOGETHER = (frozenset({"amount", "amount_currency"}),)
    AS_LOADED = frozenset({"status", "refunded_amount", "settlement_id"})

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
    failure_reason = models.CharField(_("failure reason"), max_length=200, default="", blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    announced_status = models.CharField(max_length=20, default="", blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        permissions = [("decide_payment", _("Can complete, fail and refund payments"))]
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
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} ({self.get_status_display()})"

    @property
    def refunded(self) -> Money:
        """What of the payment went back, with its currency."""
        return Money(self.refunded_amount, self.amount.currency)

    # Verbs --------------------------------------------------------------------------------------------

    @transition(field=status, source=[Status.PENDING], target=Status.PROCESSING)
    def start(self) -> None:
        """The provider works on it. Save afterwards."""

    @transition(
        field=status, source=[Status.PENDING, Status.PROCESSING, Status.FAILED], target=Status.COMPLETED
    )
    def complete(self) -> None:
        """The money arrived. Save afterwards."""

    @transition(
        field=status, source=[Status.PENDING, Status.PROCESSING, Status.COMPLETED], target=Status.FAILED
    )
    def fail(self) -> None:
        """The money did not arrive. Save afterwards."""

    @transition(field=status, source=[Status.COMPLETED], target=Status.REFUNDED)
    def refund(self) -> None:
        """All of it went back. Save afterwards."""

    @transition(field=status, source=[Status.REFUNDED], target=Status.COMPLETED)
    def take_refund_back(self) -> None:
        """Nothing of it went back after all. Save afterwards."""

    deleted_row: Mapping[str, Any] | None = None
    """What the row said right before it was deleted."""

    # Before it is written -----------------------------------------------------------------------------

    def keep_true(self, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> None:
        """Refuse amounts that cannot be; keep status and refunded amount in step."""
        amount = self._amount_to_be(stored, written)
        if not isinstance(amount, Money):
            return  # an expression: the database makes the amount
        # What is no number cannot even be compared.
        has_amount = not amount.amount.is_finite() or any(
            self.changes(name, stored, written) for name in ("amount", "amount_currency")
        )
        if has_amount:
            check_amount(amount, "the amount of a payment", zero_allowed=False)
        if not isinstance(self.status, str) or hasattr(self.refunded_amount, "resolve_expression"):
            return
        self.refunded_amount = self._refund_as_number(amount)
        if has_amount or any(self.changes(name, stored, written) for name in ("status", "refunded_amount")):
            self._keep_refund_in_step(amount, has_amount, stored, written)

    def _amount_to_be(self, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> Any:
        """The amount that this save leaves the row with: a stale instance may hold another."""
        if "amount" in self.__dict__ and (stored is None or written is None or "amount" in written):
            return amount_to_write(self)
        return Money(stored["amount"], stored["amount_currency"]) if stored else None

    def _keep_refund_in_step(
        self,
        amount: Money,
        has_amount: bool,
        stored: Mapping[str, Any] | None,
        written: Collection[str] | None,
    ) -> None:
        """A new status says what was refunded, a new refunded amount says the status; both must agree."""
        whole = amount.amount
        has_status = self.changes("status", stored, written)
        has_refund = self.changes("refunded_amount", stored, written) and (
            stored is not None or bool(self.refunded_amount)
        )
        if stored is not None and not has_status:
            self.status = stored["status"]
        refunded = self.refunded_amount if has_refund or stored is None else stored["refunded_amount"]
        arrived = self.status in (self.Status.COMPLETED, self.Status.REFUNDED)
        if has_refund or (has_amount and refunded and self.status == self.Status.COMPLETED):
            self._check_refund(amount, refunded, has_status, arrived)
        if self.status == self.Status.REFUNDED and (has_status or not has_refund):
            refunded = whole
        elif has_status and not has_refund and stored and stored["status"] == self.Status.REFUNDED:
            refunded = Decimal(0)
        elif arrived:
            is_whole = refunded > 0 and refunded >= whole
            self.status = self.Status.REFUNDED if is_whole else self.Status.COMPLETED
        self.refunded_amount = refunded

    def _refund_as_number(self, amount: Money) -> Decimal:
        given: Any = self.refunded_amount
        if given is None:
            return Decimal(0)
        if isinstance(given, Money) and given.currency != amount.currency:
            raise InvalidRefund(
                f"the refunded amount is in {given.currency}; it must be in the payment's {amount.currency}"
            )
        try:
            column: Any = self._meta.get_field("refunded_amount")
            number: Decimal = column.to_python(given)
        except ValidationError:
            raise InvalidAmount(f"the refunded amount must be a number, not {given!r:.40}") from None
        return number

    def _check_refund(self, amount: Money, refunded: Decimal, has_status: bool, arrived: bool) -> None:
        check_amount(Money(refunded, amount.currency), "the refunded amount", zero_allowed=True)
        if refunded > amount.amount:
            raise InvalidRefund(
                f"the refunded amount must be at most what was paid, {amount.amount.normalize():f} "
                f"{amount.currency}, not {refunded.normalize():f}"
            )
        if refunded and not arrived:
            raise InvalidRefund(
                f"only money that arrived can be refunded: this payment is {self.status}, "
                "allowed is completed"
            )
        if has_status and self.status == self.Status.REFUNDED and 0 < refunded < amount.amount:
            raise InvalidRefund(
                "a payment of which a part was refunded stays completed: set refunded_amount alone, "
                "or the status alone if all of it went back"
            )

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Refuse in a form what a save refuses of the refunded amount."""
        super().clean_fields(exclude)
        amount = amount_to_write(self)
        if "refunded_amount" in (exclude or ()) or not isinstance(amount, Money):
            return
        arrived = self.status in (self.Status.COMPLETED, self.Status.REFUNDED)
        try:
            self._check_refund(amount, self._refund_as_number(amount), False, arrived)
        except (InvalidAmount, InvalidRefund) as error:
            text = f"{str(error)[:1].upper()}{str(error)[1:]}."
            raise ValidationError({"refunded_amount": ValidationError(text, code="invalid_refund")}) from None


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
        )"""  # noqa: S608 - names of our own and compiled columns
        return text, [*settlement[1], *currency[1]]
