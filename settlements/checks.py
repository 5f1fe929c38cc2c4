"""System checks: settings and a gateway that cannot be used, or give a secret away, with the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from settlements.conf import get_settings
from settlements.gateways import HttpGateway


@register()
def check_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """SETTLEMENTS is usable: a save is not the first to find out."""
    try:
        get_settings()
    except ImproperlyConfigured as error:
        return [Error(f"SETTLEMENTS cannot be used: {error}", id="settlements.E002")]
    return []


@register()
def check_gateway_can_be_made(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The payment gateway is there, and its options are: a payment is not the first to find out."""
    try:
        settings = get_settings()
    except ImproperlyConfigured:
        return []  # what is wrong with the settings, the check above says
    try:
        gateway = import_string(settings.gateway)
    except ImportError as error:
        return [Error(f"SETTLEMENTS GATEWAY cannot be imported: {error}", id="settlements.E001")]
    if getattr(gateway, "__init__", None) is not HttpGateway.__init__:
        return []  # another class knows by itself what it takes
    try:
        HttpGateway.check_options(**settings.gateway_options)
    except (TypeError, ValueError) as error:
        message = f"SETTLEMENTS GATEWAY_OPTIONS do not suit {settings.gateway}: {error}"
        return [Error(message, id="settlements.E001")]
    return []


@register(Tags.security, deploy=True)
def check_gateway_is_encrypted(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The payment gateway's token does not travel where others can read it."""
    try:
        options = get_settings().gateway_options
    except ImproperlyConfigured:
        return []  # what is wrong with the settings, the check above says
    if not options.get("token") or not _is_unencrypted(options.get("base_url")):
        return []
    return [
        Warning(
            "SETTLEMENTS GATEWAY_OPTIONS has a base_url that begins with http://: "
            "the payment gateway's token would travel unencrypted.",
            hint="Use a base_url that begins with https://.",
            id="settlements.W001",
        )
    ]


def _is_unencrypted(base_url: object) -> bool:
    return isinstance(base_url, str) and base_url.strip().lower().startswith("http://")
