"""Inputs of amounts that show as many digits as the currency has."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from babel import Locale
from django import forms
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from djmoney.forms.widgets import MoneyWidget
from moneyed import Money

from settlements.money import places_of
from settlements.templatetags.settlement_format import FALLBACK_LOCALE, active_locale


class AmountWidget(MoneyWidget):
    """A number and a currency: `84.50` EUR, `5` JPY."""

    def decompress(self, value: Any) -> list[Any]:
        """The number with the digits of its currency, and the currency."""
        if isinstance(value, Money):
            return [shown_number(value.amount, str(value.currency)), value.currency]
        if isinstance(value, Decimal):  # of an address, which names no currency
            return [value, self.default_currency]
        parts: list[Any] = super().decompress(value)  # type: ignore[no-untyped-call]
        return parts


class CurrencySelect(forms.Select):
    """A list of currencies, written as one text.

    Django renders a template for each of the 307: 11 ms for each amount on a page, and a settlement has one
    in every row of its payments.
    """

    template_name = "settlements/currency_select.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Django's own, with the options as HTML."""
        context = forms.Widget.get_context(self, name, value, attrs)
        chosen = set(self.format_value(value))
        marks = {True: mark_safe(" selected"), False: ""}
        options = ((code, marks[str(code) in chosen], label) for code, label in self.choices)
        context["widget"]["options"] = format_html_join("\n", '<option value="{}"{}>{}</option>', options)
        return context


def shown_number(number: Decimal, currency: str) -> Decimal:
    """With as many digits as the currency has; with more only if it would be another number without them."""
    places = Decimal(1).scaleb(-places_of(currency))
    return number.quantize(places) if number == round(number, places_of(currency)) else number.normalize()


def use_amount_widget(field: Any, money: Money | None) -> None:
    """Let the form field of an amount show `money`, or nothing yet, as its currency does."""
    number, currency = field.widget.widgets
    number.attrs["step"] = step_of(str(money.currency)) if money is not None else "any"
    field.widget = AmountWidget(  # type: ignore[no-untyped-call]
        amount_widget=number,
        currency_widget=CurrencySelect(currency.attrs, named_currencies(tuple(currency.choices))),
        default_currency=field.widget.default_currency,
    )


def named_currencies(choices: tuple[tuple[str, Any], ...]) -> list[tuple[str, Any]]:
    """The currencies by their names in the language of the page, in the order of these."""
    return _named(choices, str(active_locale()))


@lru_cache(maxsize=16)
def _named(choices: tuple[tuple[str, Any], ...], locale: str) -> list[tuple[str, Any]]:
    if locale.startswith(FALLBACK_LOCALE):
        return list(choices)  # they are named so
    known = Locale.parse(locale).currencies
    return sorted(((code, known.get(code, name)) for code, name in choices), key=lambda one: str(one[1]))


def step_of(currency: str) -> str:
    """The smallest amount of a currency, as the `step` of an input."""
    return f"{Decimal(1).scaleb(-places_of(currency)):f}"


def as_posted(field: forms.Field, name: str, value: Any) -> dict[str, str]:
    """What a browser would send for a form field that shows `value`; what is not sent is not there."""
    value = field.prepare_value(value)
    if isinstance(field.widget, forms.CheckboxInput):
        return {name: "on"} if value else {}
    if isinstance(field.widget, forms.MultiWidget):
        widget: Any = field.widget
        parts = zip(widget.widgets_names, widget.widgets, widget.decompress(value), strict=True)
        return {f"{name}{suffix}": _text(one, part) for suffix, one, part in parts}
    return {name: _text(field.widget, value)}


def names_posted(field: forms.Field, name: str) -> list[str]:
    """The names under which a browser may send a form field."""
    if isinstance(field.widget, forms.MultiWidget):
        widget: Any = field.widget
        return [f"{name}{suffix}" for suffix in widget.widgets_names]
    return [name]


def _text(widget: forms.Widget, value: Any) -> str:
    shown = value if isinstance(widget, forms.Select) else widget.format_value(value)
    return "" if shown is None else str(shown)
