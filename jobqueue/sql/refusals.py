"""Answers of a database that no waiting mends, told from those that come while it starts or is away."""

from __future__ import annotations

import re

# PostgreSQL answers a refused connection in words alone; libpq, which has no code either, says what of the
# settings it cannot use. A host's name may hold such a word, too, and is looked up again. The first counts.
_FOR_GOOD = tuple(
    (re.compile(words, re.IGNORECASE), setting)
    for words, setting in (
        (r"authentication failed|no password supplied", "USER and PASSWORD"),
        (r"role .* does not exist|is not permitted to log in|permission denied", "USER"),
        (r"database .* does not exist", "NAME"),
        (r"pg_hba\.conf", "HOST, USER and OPTIONS"),
        (r"invalid port|invalid integer value", "PORT and OPTIONS"),
        (r"does not support SSL|invalid sslmode|invalid connection option|missing \"=\" after", "OPTIONS"),
        (r"file is not a database", "NAME"),
        (r"does not exist", "OPTIONS"),  # the file of a certificate, say
    )
)


def setting_that_helps(error: BaseException) -> str:
    """What of the settings of its database makes it answer so; empty if waiting may help.

    A server that is away, that starts or stops, that has no room for a connection, or whose name is not
    known yet, is waited for.
    """
    text = str(error)
    return next((setting for words, setting in _FOR_GOOD if words.search(text)), "")
