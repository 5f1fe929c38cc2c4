"""The list of currencies in forms: the same as Django's own, without a template for each option."""

from __future__ import annotations

from django import forms
from django.test.html import parse_html

from settlements.admin.amounts import CurrencySelect

CHOICES = [("EUR", "Euro"), ("XTS", "<b>&quot;Test&quot;</b>"), ("USD", "US Dollar")]


def rendered(widget: forms.Select, value: str | None) -> object:
    """The list as Django's parser of HTML understands it."""
    return parse_html(widget.render("amount_1", value, {"id": "id_amount_1", "required": True}))


def test_it_says_what_djangos_own_list_says() -> None:
    for value in ("USD", "XTS", "EUR", None, "ZZZ", '">'):
        own, djangos = (kind({"aria-label": "Currency"}, CHOICES) for kind in (CurrencySelect, forms.Select))
        assert rendered(own, value) == rendered(djangos, value)


def test_it_chooses_nothing_but_the_currency_of_the_amount() -> None:
    assert str(rendered(CurrencySelect(choices=CHOICES), "USD")).count("selected") == 1
