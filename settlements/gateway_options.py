"""What a payment gateway over HTTP is called with: ValueError names the option, and says what is allowed."""

from __future__ import annotations

import math
from typing import cast
from urllib.parse import urlsplit

import httpx

SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 0.01, 600.0
"""Seconds: no provider answers in less, and a worker's thread waits no longer for one."""


def check_base_url(base_url: str) -> None:
    """Refuse what names no host, or holds a secret; the URL itself stays out of the text."""
    try:
        httpx.URL(base_url)  # each of the two parsers lets something pass that the other refuses
        url = urlsplit(base_url)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise ValueError("base_url is no URL") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("base_url must begin with http:// or https:// and name a host")
    if "@" in url.netloc or url.query or url.fragment:
        # The URL is shown in error texts.
        raise ValueError("base_url must hold no user, password, query or fragment; the token is an option")


def check_token(token: str) -> None:
    """Refuse what cannot be sent as a header; the token itself stays out of the text."""
    if not isinstance(token, str) or not token:
        raise ValueError("token must be a text that is not empty")
    if not all("!" <= character <= "~" for character in token):
        raise ValueError("token must be of printable ASCII characters without spaces or line ends")


def check_timeout(name: str, seconds: object) -> None:
    """Refuse what is no time that a provider can answer within."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < cast("float", seconds) < math.inf:
        raise ValueError(f"{name} must be a number of seconds above 0, not {seconds!r:.80}")
    if not SHORTEST_TIMEOUT <= cast("float", seconds) <= LONGEST_TIMEOUT:
        raise ValueError(
            f"{name} must be from {SHORTEST_TIMEOUT:g} to {LONGEST_TIMEOUT:g} seconds, not {seconds!r:.80}"
        )
