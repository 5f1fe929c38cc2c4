"""The forms of settlements and payments."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from moneyed import Money

from jobqueue.admin import KeyedSelect, badge
from settlements.admin.amounts import use_amount_widget
from settlements.admin.checked_form import CheckedForm
from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.models import Payment, Settlement
from settlements.money import form_error
from settlements.templatetags.settlement_format import money

_DUE = (
    MinValueValidator(datetime(1900, 1, 1, tzinfo=UTC)),
    MaxValueValidator(datetime(8900, 1, 1, tzinfo=UTC)),
)
"""Within these every zone has the moment, and jobs can still run behind it: theirs end with the year 9000."""


class AmountForm(CheckedForm):
    """A form whose amount has as many digits as its currency."""

    def prepare(self) -> None:
        """Digits as the currency of the record has them."""
        super().prepare()
        if "amount" in self.fields:
            adding = self.instance._state.adding
            use_amount_widget(self.fields["amount"], None if adding else self.instance.amount)


class KnownAutocomplete(KeyedSelect):
    """A choice of a record that takes no query for the one that the page has read already."""

    known: Any = None

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        """The chosen one, named."""
        if self.known is None or [str(self.known.pk)] != [str(each) for each in value]:
            return super().optgroups(name, value, attr)
        label = self.choices.field.label_from_instance(self.known)
        return [(None, [self.create_option(name, self.known.pk, label, True, 0)], 0)]


class SettlementForm(AmountForm):
    """A settlement's form that leaves alone what it does not show."""

    watched = (
        "description", "payer", "payee", "amount", "due_date", "status", "reminders_paused", "history",
        "decided_status", "decided_at", "decided_by", "decision_reason",
    )  # fmt: skip
    masked = ("decision_reason",)

    def prepare(self) -> None:
        """The people of the record are known already."""
        super().prepare()
        for name in ("payer", "payee"):
            widget = getattr(self.fields.get(name), "widget", None)
            inner = getattr(widget, "widget", None)
            if isinstance(inner, KnownAutocomplete) and name in self.instance._state.fields_cache:
                inner.known = getattr(self.instance, name)

    def clean_due_date(self) -> datetime:
        """The form shows whole seconds: an unchanged date keeps its fraction, or it would count as moved."""
        entered: datetime = self.cleaned_data["due_date"]
        saved: datetime | None = self.instance.due_date
        if saved and entered == saved.replace(microsecond=0):
            return saved
        for check in _DUE:
            check(entered)
        return entered


class PaymentAmountForm(AmountForm):
    """The amount of a payment: a part that was refunded stays a part, in its currency."""

    def prepare(self) -> None:
        """Who reads the reason of a failure is said beside it."""
        super().prepare()
        if "failure_reason" in self.fields:
            self.fields["failure_reason"].help_text = _("The payer reads it where the payment is failed.")

    def clean(self) -> dict[str, Any] | None:
        """Refuse amounts that would say something else of what was refunded."""
        cleaned = super().clean()
        amount = self.cleaned_data.get("amount")
        is_part = self.instance.refunded_amount and self.instance.status != Payment.Status.REFUNDED
        if is_part and not self.instance._state.adding and isinstance(amount, Money):
            self._check_against_refund(amount, self.instance.refunded)
        return cleaned

    def _check_against_refund(self, amount: Money, refunded: Money) -> None:
        if amount.currency != refunded.currency:
            text = _("%(refunded)s of it were refunded: its currency must stay %(currency)s.")
        elif amount.amount <= refunded.amount:
            text = _("%(refunded)s of it were refunded: the amount must be more than that.")
        else:
            return
        words = {"refunded": money(refunded), "currency": refunded.currency}
        self.add_error("amount", ValidationError(text, code="refunded", params=words))


class PaymentForm(PaymentAmountForm):
    """A payment's form; its first status may be chosen, later actions change it."""

    watched = ("settlement", "amount", "refunded_amount", "status", "failure_reason")
    masked = ("failure_reason",)

    def clean_refunded_amount(self) -> Any:
        """Left empty nothing was refunded."""
        entered = self.cleaned_data["refunded_amount"]
        return Decimal(0) if entered is None else entered

    def clean(self) -> dict[str, Any] | None:
        """Refuse amounts that the model would not take, beside the field that is wrong."""
        cleaned = super().clean()
        amount, settlement = self.cleaned_data.get("amount"), self.cleaned_data.get("settlement")
        if not isinstance(amount, Money):
            return cleaned
        if "refunded_amount" in self.cleaned_data:
            error = form_error(self.cleaned_data["refunded_amount"], str(amount.currency), zero_allowed=True)
            if error:
                self.add_error("refunded_amount", error)
        if settlement is not None and self._moves(amount, settlement):
            error = currency_error(amount, settlement.amount)
            if error:
                self.add_error("amount", error)
        return cleaned

    def _moves(self, amount: Money, settlement: Settlement) -> bool:
        """Whether it is another currency or settlement than it was: what a program wrote may stay."""
        saved = self.instance
        return bool(
            saved._state.adding
            or saved.settlement_id != settlement.pk
            or saved.amount.currency != amount.currency
        )

    def _post_clean(self) -> None:
        super()._post_clean()
        if not self.instance._state.adding or self.errors:
            return
        names = ("amount", "status", "refunded_amount")
        try:
            Payment(**{name: getattr(self.instance, name) for name in names}).keep_true(None, None)
        except (InvalidAmount, InvalidRefund) as error:
            self.add_error("refunded_amount", ValidationError(f"{capfirst(str(error))}.", code="refused"))


class InlinePaymentForm(PaymentAmountForm):
    """A payment on the page of its settlement: new ones have a first status, others show theirs."""

    watched = ("amount", "refunded_amount", "status", "failure_reason")
    masked = ("failure_reason",)

    def prepare(self) -> None:
        """A status that is there is shown, and what is sent for it does not count."""
        super().prepare()
        if "status" in self.fields and not self.instance._state.adding:
            status = self.fields["status"]
            status.disabled = True
            status.widget = StatusText(Payment.Status.choices)


class StatusText(forms.Widget):
    """A status that is shown and sent by nobody."""

    def __init__(self, choices: Any) -> None:
        super().__init__()
        self._labels = dict(choices)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The status in colour and in words."""
        return badge(value, self._labels.get(value, value))


def currency_error(amount: Money, owed: Money) -> ValidationError | None:
    """A payment in another currency would count nothing; None if it is in the settlement's."""
    if amount.currency == owed.currency:
        return None
    return ValidationError(
        _("The settlement is in %(owed)s: a payment in %(paid)s would count nothing. Enter it in %(owed)s."),
        code="currency",
        params={"owed": owed.currency, "paid": amount.currency},
    )
