"""The payment gateway that the settings name."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings as DjangoSettings

from settlements.gateways import (
    DatabaseGateway,
    HttpGateway,
    get_gateway,
)
from settlements.models import Payment
from tests.settlements.provider import TOKEN, Provider


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers are here, whatever proxy this machine uses."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.close()


@pytest.fixture
def payment() -> Payment:
    return Payment(id=uuid.UUID("7d1f2f0e-6f5c-4b39-9df6-0a4f5b2c9e11"), status="processing")


class GatewayWithoutMethod:
    """No gateway at all."""


def test_the_settings_default_to_our_own_database(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = {}
    assert isinstance(get_gateway(), DatabaseGateway)


def test_the_settings_name_the_gateway(
    settings: DjangoSettings, provider: Provider, payment: Payment
) -> None:
    provider.answers(200, {"status": "refunded"})
    settings.SETTLEMENTS = {
        "GATEWAY": "settlements.gateways.HttpGateway",
        "GATEWAY_OPTIONS": {"base_url": provider.url, "token": TOKEN, "read_timeout": 5},
    }
    assert get_gateway().status_of(payment).status == "refunded"


def test_a_process_has_one_gateway(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = {}
    assert get_gateway() is get_gateway()


def test_a_forked_process_builds_its_own_gateway(
    settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SETTLEMENTS = {}
    inherited = get_gateway()
    process_id_of_the_child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: process_id_of_the_child)
    assert get_gateway() is not inherited


def test_changed_settings_build_another_gateway(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = {}
    get_gateway()
    settings.SETTLEMENTS = {
        "GATEWAY": "settlements.gateways.HttpGateway",
        "GATEWAY_OPTIONS": {"base_url": "https://payments.example", "token": TOKEN},
    }
    assert isinstance(get_gateway(), HttpGateway)


@pytest.mark.parametrize(
    ("path", "options", "complaint"),
    [
        ("settlements.gateways.NoSuchGateway", {}, "GATEWAY cannot be imported"),
        ("no_such_module.Gateway", {}, "GATEWAY cannot be imported"),
        ("settlements.gateways.HttpGateway", {"token": TOKEN}, "missing 1 required positional argument"),
        ("settlements.gateways.HttpGateway", {"base_url": "https://p.example", "token": ""}, "token must be"),
        ("settlements.gateways.DatabaseGateway", {"token": TOKEN}, "GATEWAY_OPTIONS do not suit"),
        (f"{__name__}.GatewayWithoutMethod", {}, "has no method status_of(payment)"),
    ],
)  # fmt: skip
def test_settings_that_give_no_gateway_are_refused(
    settings: DjangoSettings, path: str, options: dict[str, Any], complaint: str
) -> None:
    settings.SETTLEMENTS = {"GATEWAY": path, "GATEWAY_OPTIONS": options}
    with pytest.raises(ImproperlyConfigured, match=re.escape(complaint)) as refused:
        get_gateway()
    assert TOKEN not in str(refused.value)
