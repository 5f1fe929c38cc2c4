"""The checks before a deployment: no secret is given away."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks as django_checks
from django.core.checks import CheckMessage, Tags
from pytest_django import Settings as DjangoSettings

TOKEN = "sk_live_9f8e7d6c5b4a"
HTTP_GATEWAY = "settlements.gateways.HttpGateway"


def _found(*, deploy: bool = True) -> list[CheckMessage]:
    messages = django_checks.run_checks(tags=[Tags.security], include_deployment_checks=deploy)
    return [message for message in messages if str(message.id).startswith("settlements.")]


def _use(settings: DjangoSettings, **options: Any) -> None:
    settings.SETTLEMENTS = {"GATEWAY": HTTP_GATEWAY, "GATEWAY_OPTIONS": options}


@pytest.mark.parametrize(
    "base_url", ["http://payments.example/v1", "HTTP://payments.example", " http://payments.example"]
)
def test_a_token_that_would_travel_unencrypted_is_warned_of(settings: DjangoSettings, base_url: str) -> None:
    _use(settings, base_url=base_url, token=TOKEN)
    [message] = _found()
    assert (message.id, message.level) == ("settlements.W001", django_checks.WARNING)
    assert "unencrypted" in message.msg
    assert message.hint is not None and "https://" in message.hint


def test_the_warning_does_not_show_the_token(settings: DjangoSettings) -> None:
    _use(settings, base_url=f"http://me:{TOKEN}@payments.example", token=TOKEN)
    [message] = _found()
    assert TOKEN not in f"{message} {message!r}"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"base_url": "https://payments.example", "token": TOKEN},
        {"base_url": "https://http.example/http://", "token": TOKEN},
        {"base_url": "http://payments.example", "token": ""},
        {"base_url": "http://payments.example", "token": None},
        {"base_url": "http://payments.example"},
        {"base_url": None, "token": TOKEN},
        {"token": TOKEN},
    ],
)
def test_what_gives_no_token_away_passes(settings: DjangoSettings, options: dict[str, Any]) -> None:
    _use(settings, **options)
    assert _found() == []


def test_it_is_a_check_before_a_deployment_only(settings: DjangoSettings) -> None:
    _use(settings, base_url="http://payments.example", token=TOKEN)
    assert _found(deploy=False) == []


@pytest.mark.parametrize("broken", [{"NO_SUCH_SETTING": 1}, {"GATEWAY_OPTIONS": [TOKEN]}, None])
def test_settings_that_cannot_be_read_do_not_break_the_checks(settings: DjangoSettings, broken: Any) -> None:
    settings.SETTLEMENTS = broken
    assert _found() == []


# Whether it can be made ---------------------------------------------------------------------------


def _of_gateway() -> list[CheckMessage]:
    return [message for message in django_checks.run_checks() if message.id == "settlements.E001"]


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("read_timeout", 0, "a number of seconds above 0, not 0"),
        ("connect_timeout", "soon", "a number of seconds above 0, not 'soon'"),
        ("total_timeout", float("nan"), "a number of seconds above 0, not nan"),
        ("total_timeout", 1e-6, "from 0.01 to 600 seconds, not 1e-06"),
        ("token", "two words", "of printable ASCII characters without spaces or line ends"),
    ],
)
def test_an_option_that_the_gateway_cannot_use_is_an_error_that_says_what_is_allowed(
    settings: DjangoSettings, option: str, value: Any, allowed: str
) -> None:
    _use(settings, **{"base_url": "https://payments.example", "token": TOKEN, option: value})

    [message] = _of_gateway()

    assert f"{option} must be {allowed}" in message.msg
    assert TOKEN not in message.msg


def test_an_option_that_the_gateway_does_not_have_is_an_error(settings: DjangoSettings) -> None:
    _use(settings, base_url="https://payments.example", token=TOKEN, timeout=5)

    [message] = _of_gateway()

    assert "unexpected keyword argument 'timeout'" in message.msg


def test_a_gateway_that_is_not_there_is_an_error(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = {"GATEWAY": "settlements.gateways.NoGateway"}

    [message] = _of_gateway()

    assert "SETTLEMENTS GATEWAY cannot be imported" in message.msg


def test_good_options_and_other_gateways_pass(settings: DjangoSettings) -> None:
    _use(settings, base_url="https://payments.example", token=TOKEN, read_timeout=5)
    assert _of_gateway() == []
    settings.SETTLEMENTS = {"GATEWAY": "unittest.mock.Mock", "GATEWAY_OPTIONS": {"timeout": 0}}
    assert _of_gateway() == []
