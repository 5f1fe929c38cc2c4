"""The environment's variables by kind: one that is mistyped is named at the start, with what is allowed.

Django and its apps read many settings only when they are used; `bool` of django-environ takes every word that
it does not know for no.
"""

from __future__ import annotations

import builtins
import math
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from environ import Env
from moneyed import CurrencyDoesNotExist, get_currency

from jobqueue.values import rate, shown

_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_YES: Final = ("true", "on", "ok", "y", "yes", "1")
_NO: Final = ("false", "off", "n", "no", "0", "")


class Environment(Env):  # type: ignore[misc]
    """As django-environ has it, and strict."""

    def bool(self, var: builtins.str, default: Any = Env.NOTSET) -> builtins.bool:
        """Yes or no."""
        value = self.get_value(var, cast=str, default=default)
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word not in _YES + _NO:
            raise _refused(var, "must be 1 or 0 (or true, false, yes, no, on, off)", value)
        return word in _YES

    def int(
        self,
        var: builtins.str,
        default: Any = Env.NOTSET,
        *,
        least: builtins.int = 0,
        most: builtins.int = 1 << 31,
    ) -> builtins.int:
        """A whole number."""
        value = self.get_value(var, cast=str, default=default)
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = least - 1
        if not least <= number <= most:
            raise _refused(var, f"must be a whole number from {least} to {most}", value)
        return number

    def float(
        self,
        var: builtins.str,
        default: Any = Env.NOTSET,
        *,
        least: builtins.float = 0.0,
        most: builtins.float = 1e9,
    ) -> builtins.float:
        """A number that is finite."""
        value = self.get_value(var, cast=str, default=default)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and least <= number <= most):
            raise _refused(var, f"must be a number from {least:g} to {most:g}", value)
        return number

    def rate(self, var: builtins.str, default: builtins.str) -> builtins.str:
        """So many in a length of time."""
        value: builtins.str = self.str(var, default=default)
        try:
            rate(value)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var} {error}.") from None
        return value

    def log_level(self, var: builtins.str, default: builtins.str) -> builtins.str:
        """From which level on is logged."""
        value: builtins.str = self.str(var, default=default)
        if value not in _LOG_LEVELS:
            raise _refused(var, f"must be one of {', '.join(_LOG_LEVELS)}", value)
        return value

    def currency(self, var: builtins.str, default: builtins.str) -> builtins.str:
        """The code of a currency."""
        value: builtins.str = self.str(var, default=default)
        try:
            get_currency(value)
        except CurrencyDoesNotExist:
            raise _refused(var, "must be the code of a currency, such as EUR", value) from None
        return value


def _refused(variable: str, allowed: str, value: object) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{variable} {allowed}, not {shown(value)}.")
