"""Who asks: the address by which failed logins are counted."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def address_of(request: HttpRequest) -> str:
    """The client's address: the proxy's word for it, where TRUST_X_FORWARDED_FOR says that there is one.

    The last entry is the one that the proxy appended; those before it are the client's own words.
    """
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.TRUST_X_FORWARDED_FOR else ""
    return forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))
