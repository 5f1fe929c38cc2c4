"""System checks before a deployment: what would give a secret away is said, with the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from settlements.conf import get_settings


@register(Tags.security, deploy=True)
def check_gateway_is_encrypted(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The payment gateway's token does not travel where others can read it."""
    try:
        options = get_settings().gateway_options
    except ImproperlyConfigured:
        return []  # whoever needs the settings says what is wrong with them
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
