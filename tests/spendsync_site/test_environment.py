"""A variable of the environment that is mistyped is named at the start, with what is allowed."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from spendsync_site.environment import Environment
from tests.servers import ROOT

READ = (ROOT / "spendsync_site" / "settings.py").read_text()
WRONG = {
    "bool": ("ture", "must be 1 or 0"),
    "int": ("4O", "must be a whole number from"),
    "float": ("nan", "must be a number from"),
    "rate": ("100000", "must be a whole number, a slash"),
    "log_level": ("INF0", "must be one of DEBUG"),
    "currency": ("EURO", "must be the code of a currency"),
}
"""What is none of a kind, and what is said of it."""
_RIGHT = {
    "bool": (("1", True), ("Off", False), ("", False)),
    "int": (("7", 7),),
    "float": (("0.5", 0.5),),
    "rate": (("5/min", "5/min"),),
    "log_level": (("DEBUG", "DEBUG"),),
    "currency": (("USD", "USD"),),
}
_CALL = re.compile(r"env\.(\w+)\(\s*\"(\w+)\"")
_TAKEN_AS_THEY_ARE = {"str", "list", "json", "email_url"}


@pytest.mark.parametrize(("kind", "value", "said"), [(kind, *told) for kind, told in WRONG.items()])
def test_what_is_mistyped_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, kind: str, value: str, said: str
) -> None:
    monkeypatch.setenv("A_VARIABLE", value)

    with pytest.raises(ImproperlyConfigured, match=f"A_VARIABLE {said}.*{value}"):
        getattr(Environment(), kind)("A_VARIABLE", "")


@pytest.mark.parametrize("number", ["-1", "inf", "1e400", "", "9" * 30])
@pytest.mark.parametrize("kind", ["int", "float"])
def test_a_number_that_nothing_can_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: str, number: str
) -> None:
    monkeypatch.setenv("A_VARIABLE", number)

    with pytest.raises(ImproperlyConfigured, match="A_VARIABLE must be a"):
        getattr(Environment(), kind)("A_VARIABLE", 1)


@pytest.mark.parametrize(
    ("kind", "value", "read"), [(kind, *pair) for kind, pairs in _RIGHT.items() for pair in pairs]
)
def test_what_is_right_is_read(monkeypatch: pytest.MonkeyPatch, kind: str, value: str, read: object) -> None:
    monkeypatch.setenv("A_VARIABLE", value)

    assert getattr(Environment(), kind)("A_VARIABLE", "") == read


def test_what_is_not_there_has_its_default() -> None:
    assert Environment().bool("NOT_THERE", default=True) is True
    assert Environment().int("NOT_THERE", default=3) == 3


def test_the_settings_read_every_variable_by_a_kind_that_is_checked() -> None:
    kinds = {kind for kind, _variable in _CALL.findall(READ)}

    assert kinds - _TAKEN_AS_THEY_ARE == set(WRONG)


@pytest.mark.parametrize("variable", ["API_READ_RATE", "API_CHANGE_RATE"])
def test_the_rates_of_the_api_are_read_as_rates(variable: str) -> None:
    assert {name: kind for kind, name in _CALL.findall(READ)}[variable] == "rate"
