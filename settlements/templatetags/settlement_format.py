"""Template filters that write amounts and dates as the reader's language does.

Values may be the model's (`Money`, `datetime`) or what JSON made of them (`"12.50"`, ISO dates).
What is neither is shown as it stands: an e-mail with an odd value is better than no e-mail.
"""

import copy
import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_datetime_format, get_timezone_name
from babel.numbers import NumberPattern, format_decimal, get_currency_precision
from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import get_language, to_locale
from moneyed import Money
from moneyed.classes import CurrencyDoesNotExist

from settlements.money import STORED_PLACES, places_of

register = template.Library()

FALLBACK_LOCALE = "en"
LARGEST_EXPONENT = 18
"""Amounts beyond 10^18 are shown as given: written out, "1e999999" would fill a disk."""


@lru_cache(maxsize=64)
def _locale_of(language: str) -> Locale:
    for name in (to_locale(language), language.split("-")[0], FALLBACK_LOCALE):
        try:
            return Locale.parse(name)
        except (UnknownLocaleError, ValueError):
            continue
    raise UnknownLocaleError(FALLBACK_LOCALE)


def active_locale() -> Locale:
    """The locale of Django's active language; English for a language that has none."""
    return _locale_of(get_language() or settings.LANGUAGE_CODE)


def to_decimal(value: object) -> Decimal | None:
    """The number of an amount, be it money, a number or text; None if it is none that can be shown."""
    value = getattr(value, "amount", value)
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() <= LARGEST_EXPONENT else None


def _to_date(value: object) -> date | None:
    """`value` as an aware datetime in the active time zone, or a plain date where it has no time."""
    if isinstance(value, str):
        try:
            value = parse_date(value) or parse_datetime(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        aware = timezone.make_aware(value) if timezone.is_naive(value) else value
        try:
            return timezone.localtime(aware)
        except OverflowError:  # within a day of year 1 or 9999
            return aware
    return value if isinstance(value, date) else None


def _without_narrow_blanks(text: str) -> str:
    """`text` with U+202F, for which many mail programs have no glyph, as an ordinary no-break space."""
    return text.replace("\u202f", "\u00a0")


@register.filter
def money(value: Any, currency: Any = "") -> str:
    """An amount as the active language writes it; `currency` counts where the value brings none."""
    if isinstance(value, Money):
        value, currency = value.amount, value.currency
    number = to_decimal(value)
    if number is None:
        return "" if value is None else str(value)
    locale = active_locale()
    code = str(currency or "").strip().upper()
    if code:
        pattern = _pattern_of(number, code, locale)
        return _without_narrow_blanks(pattern.apply(number, locale, currency=code, currency_digits=False))
    return _without_narrow_blanks(format_decimal(number, locale=locale))


def _pattern_of(number: Decimal, code: str, locale: Locale) -> NumberPattern:
    """How the locale writes money, with every digit that can be owed.

    Locales leave out digits that a currency has but cash has not: RSD 10.50 would be read as RSD 10.
    """
    try:
        places = places_of(code)
    except CurrencyDoesNotExist:
        places = get_currency_precision(code)
    exact = round(number, STORED_PLACES).normalize().as_tuple().exponent
    pattern: NumberPattern = copy.copy(locale.currency_formats["standard"])
    pattern.frac_prec = (places, max(places, -exact if isinstance(exact, int) else 0))
    return pattern


@register.filter
def day(value: Any) -> str:
    """A date as the active language writes it, without the time: "May 3, 2030"."""
    moment = _to_date(value)
    if moment is None:
        return "" if value is None else str(value)
    return _without_narrow_blanks(format_date(moment, "long", locale=active_locale()))


@register.filter
def day_and_time(value: Any) -> str:
    """Date, time and time zone as the active language writes them: "May 3, 2030, 2:00 PM UTC"."""
    moment = _to_date(value)
    if not isinstance(moment, datetime):
        return day(value)
    locale = active_locale()
    zone = get_timezone_name(moment, "short", locale=locale)
    time = f"{format_time(moment, 'short', tzinfo=moment.tzinfo, locale=locale)} {zone}"
    pattern = str(get_datetime_format("long", locale=locale)).replace("'", "")
    return _without_narrow_blanks(pattern.replace("{0}", time).replace("{1}", day(moment)))


@register.filter
def one_line(value: str) -> str:
    """Text with every run of blanks and line breaks folded into one blank; no-break spaces stay."""
    return re.sub(r"[ \t\r\n\f\v]+", " ", value).strip()
