"""Every setting that is a length of time, of the job queue and of the domain, by one rule.

It is refused by `check`, with its name and what is allowed, where it is no length of time; 0 is one only
where the setting's own documentation says what it means.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
from django.conf import LazySettings
from django.core.checks.registry import registry

import jobqueue.checks
import jobqueue.conf
import settlements.checks
import settlements.conf

NO_LENGTHS = [-1, -0.5, math.nan, math.inf, -math.inf, 1e300, 10**400, True, False, "soon", "5", None, [5]]
NO_LENGTHS += [timedelta(-1), timedelta.max]


CHECKS = {
    "JOBQUEUE": (jobqueue.checks.check_settings, "jobqueue.E002"),
    "SETTLEMENTS": (settlements.checks.check_settings, "settlements.E002"),
}


def _lengths(module: ModuleType, name: str) -> Iterator[str]:
    """The settings of this class that are lengths of time, or several."""
    for setting, hint in get_type_hints(getattr(module, name)).items():
        if hint in (float, timedelta) or timedelta in get_args(hint):
            yield setting


def _documentation(module: ModuleType, name: str) -> dict[str, str]:
    """What stands below each setting of this class."""
    [found] = [
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    return {
        setting.target.id: text.value.value
        for setting, text in zip(found.body, found.body[1:], strict=False)
        if isinstance(setting, ast.AnnAssign) and isinstance(setting.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _may_be_zero(module: ModuleType, name: str, setting: str) -> bool:
    text = _documentation(module, name).get(setting, "")
    return any(word.strip(".,;:") in ("0", "timedelta(0") for word in text.replace(")", " ").split())


PLACES: list[tuple[ModuleType, str, str, str]] = [
    (jobqueue.conf, "Settings", "JOBQUEUE", ""),
    (settlements.conf, "Settings", "SETTLEMENTS", ""),
    (settlements.conf, "ReminderPolicy", "SETTLEMENTS", "REMINDERS"),
    (settlements.conf, "PaymentCheckPolicy", "SETTLEMENTS", "PAYMENT_CHECK"),
]
EVERY = [(*place, setting) for place in PLACES for setting in _lengths(*place[:2])]
NAMES = [" ".join((place, *([part] if part else []), setting.upper())) for *_, place, part, setting in EVERY]


def _given(place: tuple[ModuleType, str], part: str, setting: str, value: Any) -> dict[str, Any]:
    hint = get_type_hints(getattr(*place))[setting]
    inner = {setting.upper(): value if hint in (float, timedelta) else [value]}
    return {part: inner} if part else inner


def _errors(settings: LazySettings, place: str, given: dict[str, Any]) -> list[str]:
    setattr(settings, place, given)
    check, expected = CHECKS[place]
    return [message.msg for message in check(None) if message.id == expected]


def test_check_asks_both() -> None:
    assert {check for check, _ in CHECKS.values()} <= set(registry.get_checks())


def test_the_rule_is_held_against_many_settings() -> None:
    assert {"JOBQUEUE LOST_AFTER", "JOBQUEUE KEEP_AUDIT", "SETTLEMENTS REMINDERS LAPSED_AFTER"} < set(NAMES)


@pytest.mark.parametrize(("module", "name", "place", "part", "setting"), EVERY, ids=NAMES)
def test_what_is_no_length_of_time_is_refused_with_what_is_allowed(
    settings: LazySettings, module: ModuleType, name: str, place: str, part: str, setting: str
) -> None:
    for value in NO_LENGTHS:
        [error] = _errors(settings, place, _given((module, name), part, setting, value)) or [""]

        assert setting in error.lower(), repr(value)
        assert "must be" in error or "must not be" in error or "more seconds than" in error, repr(value)


@pytest.mark.parametrize(("module", "name", "place", "part", "setting"), EVERY, ids=NAMES)
def test_zero_is_refused_unless_the_setting_says_what_it_means(
    settings: LazySettings, module: ModuleType, name: str, place: str, part: str, setting: str
) -> None:
    zero = timedelta(0) if get_type_hints(getattr(module, name))[setting] is timedelta else 0
    found = _errors(settings, place, _given((module, name), part, setting, zero))

    assert bool(found) is not _may_be_zero(module, name, setting)
    assert all(setting in error.lower() and "must" in error for error in found)
