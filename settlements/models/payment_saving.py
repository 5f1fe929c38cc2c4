"""What a save makes of a payment: its amounts can be, its status and what was refunded agree."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from moneyed import Money

from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.models.announced import AnnouncedMixin
from settlements.money import amount_to_write, check_amount


class PaymentSavingMixin(AnnouncedMixin):
    """What payments keep beside their fields, and how each save leaves it."""

    # Of `Payment`, whose fields these are.
    Status: ClassVar[Any]
    status: Any
    refunded_amount: Any
    failure_reason: Any

    ANNOUNCED = {"status": "announced_status"}
    WRITTEN_WITH: ClassVar[dict[str, tuple[str, ...]]] = {
        "status": ("refunded_amount", "failure_reason"),
        "refunded_amount": ("status",),
        "amount": ("refunded_amount", "status"),
    }
    READ_BEFORE_SAVE = ("amount", "amount_currency", "refunded_amount", "failure_reason")
    TOGETHER = (frozenset({"amount", "amount_currency"}),)
    AS_LOADED = frozenset({"status", "refunded_amount", "settlement_id"})

    class Meta:
        abstract = True

    def keep_true(self, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> None:
        """Refuse amounts that cannot be; keep status, refunded amount and reason of a failure in step."""
        self._forget_failure(stored, written)
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

    def _forget_failure(self, stored: Mapping[str, Any] | None, written: Collection[str] | None) -> None:
        """What a payment failed for is not true of one that is failed no more, whoever says so."""
        if stored is None or stored["status"] != self.Status.FAILED:
            return
        is_over = self.changes("status", stored, written) and self.status != self.Status.FAILED
        if is_over and not self.changes("failure_reason", stored, written):
            self.failure_reason = ""

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
