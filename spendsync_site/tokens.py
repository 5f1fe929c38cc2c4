"""Tokens of the API: knox's, made by `manage.py api_token`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox.auth import TokenAuthentication as KnoxAuthentication
from rest_framework.exceptions import AuthenticationFailed

_NOT_VALID = "This token is not known, was revoked or has expired; `manage.py api_token` makes another."


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc]
    """`Authorization: Token …`; what can be no token is one that is not valid."""

    def authenticate_credentials(self, token: bytes) -> Any:
        """The user and the token."""
        if not token.isascii() or b"\x00" in token:
            raise AuthenticationFailed(_NOT_VALID)
        try:
            return super().authenticate_credentials(token)
        except AuthenticationFailed:
            raise AuthenticationFailed(_NOT_VALID) from None


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    """How the schema names it."""

    target_class = "spendsync_site.tokens.TokenAuthentication"
    name = "token"
