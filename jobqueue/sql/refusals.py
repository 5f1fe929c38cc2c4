"""Answers of a database that no waiting mends, told from those that come while it starts or is away."""

from __future__ import annotations

import re

# PostgreSQL answers a refused connection in words alone, and libpq gives no code for it.
_FOR_GOOD = (
    (
        r"password authentication failed|no password supplied|authentication failed for user",
        "USER and PASSWORD",
    ),
    (r"role .* does not exist|is not permitted to log in|permission denied", "USER"),
    (r"database .* does not exist", "NAME"),
    (r"no pg_hba\.conf entry", "HOST, USER and OPTIONS"),
    (r"does not support SSL|invalid sslmode|invalid connection option|missing \"=\" after", "OPTIONS"),
    (r"file is not a database", "NAME"),
)


def setting_that_helps(error: Exception) -> str:
    """What of the settings of its database makes it answer so; empty if waiting may help.

    A server that is away, that starts or stops, that has no room for a connection, or whose name is not
    known yet, is waited for.
    """
    text = str(error)
    return next((setting for words, setting in _FOR_GOOD if re.search(words, text, re.IGNORECASE)), "")
