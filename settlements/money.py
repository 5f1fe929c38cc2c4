"""What amounts of money can be: as many digits as their currency has, and the sign that makes sense."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.db import models
from moneyed import Money, get_currency

from settlements.exceptions import InvalidAmount

MAX_DIGITS: Final = 15
STORED_PLACES: Final = 3
"""Digits after the point in the database: as many as any currency in use needs (KWD)."""


if TYPE_CHECKING:
    DecimalField = models.DecimalField[Any, Any]
else:
    DecimalField = models.DecimalField


class AmountField(DecimalField):
    """An amount in the currency of another field of the row; takes numbers, text and `Money`."""

    def to_python(self, value: Any) -> Any:
        """A decimal; of `Money` the number."""
        return super().to_python(_number(value))

    def get_prep_value(self, value: Any) -> Any:
        """As the database takes it; of `Money` the number."""
        return super().get_prep_value(_number(value))


def _number(value: Any) -> Any:
    value = getattr(value, "amount", value)
    return str(value) if isinstance(value, float) else value


def amount_to_write(row: Any) -> Any:
    """The amount of a row in the currency that its column says; an expression as it is.

    Who sets the currency's column alone leaves an amount behind that says the former one.
    """
    amount = row.amount
    return Money(amount.amount, row.amount_currency) if isinstance(amount, Money) else amount


def places_of(currency: str) -> int:
    """How many digits after the point the currency has: 0 for JPY, 2 for EUR, 3 for KWD, never more."""
    return min(len(str(get_currency(currency).sub_unit)) - 1, STORED_PLACES)


def check_amount(money: Money, what: str, *, zero_allowed: bool) -> None:
    """InvalidAmount unless the currency can hold this amount, and its sign is right."""
    trouble = trouble_with(money.amount, str(money.currency), zero_allowed=zero_allowed)
    if trouble:
        raise InvalidAmount(f"{what} {trouble}")


def trouble_with(number: Decimal, currency: str, *, zero_allowed: bool) -> str:
    """What is wrong with an amount, to be read after its name; empty if nothing is."""
    if not number.is_finite():
        return f"must be a number, not {number}"
    if number < 0 or (number == 0 and not zero_allowed):
        return f"must be {'0 or more' if zero_allowed else 'more than 0'}, not {_written(number, currency)}"
    # First: what is huge cannot be rounded.
    if number >= 10 ** (MAX_DIGITS - STORED_PLACES):
        return f"must be below 10^{MAX_DIGITS - STORED_PLACES}, not {number:.3e} {currency}"
    places = places_of(currency)
    if number != round(number, places):
        digits = "no digits" if places == 0 else f"at most {places} digits"
        amount = f"{number.normalize():f} {currency}"
        return f"must be one that {currency} can hold, not {amount}: {currency} has {digits} after the point"
    return ""


def _written(number: Decimal, currency: str) -> str:
    """The number with as many digits as its currency has; with its own where it has more."""
    if abs(number) >= 10 ** (MAX_DIGITS - STORED_PLACES):
        return f"{number:.3e} {currency}"
    rounded = round(number, places_of(currency))
    return f"{rounded if rounded == number else number.normalize():f} {currency}"


def form_error(number: Decimal, currency: str, *, zero_allowed: bool) -> ValidationError | None:
    """The same as an error for a form's field; None if nothing is wrong."""
    trouble = trouble_with(number, currency, zero_allowed=zero_allowed)
    return ValidationError(f"The amount {trouble}.", code="invalid_amount") if trouble else None


def validate_settlement_amount(value: Any) -> None:
    """Validator of forms: 0 or more, and no more digits than the currency has."""
    _validate(value, zero_allowed=True)


def validate_payment_amount(value: Any) -> None:
    """Validator of forms: more than 0, and no more digits than the currency has."""
    _validate(value, zero_allowed=False)


def _validate(value: Any, *, zero_allowed: bool) -> None:
    if isinstance(value, Money):
        error = form_error(value.amount, str(value.currency), zero_allowed=zero_allowed)
        if error:
            raise error
