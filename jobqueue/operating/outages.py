"""What people and programs are told while a store cannot be used: the same by the admin and over HTTP."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from jobqueue.sql.databases import databases
from jobqueue.sql.troubles import Outage, Trouble

RETRY_AFTER: Final = 5
"""Seconds after which somebody may ask again where Redis or a database is away."""


def title(outage: Outage) -> str:
    """What cannot be used, in a few words; a database by its name where there are several."""
    if outage.trouble is Trouble.REDIS_AWAY:
        return _("Redis does not answer")
    name = outage.using if outage.using and len(databases()) > 1 else ""
    if name:
        return _named(outage.trouble) % {"name": name}
    return {
        Trouble.AWAY: _("The database does not answer"),
        Trouble.TAKES_NO_CHANGES: _("The database takes no changes for now"),
        Trouble.BUSY: _("The database is busy"),
    }[outage.trouble]


def _named(trouble: Trouble) -> str:
    return {
        Trouble.AWAY: _("The database %(name)s does not answer"),
        Trouble.TAKES_NO_CHANGES: _("The database %(name)s takes no changes for now"),
        Trouble.BUSY: _("The database %(name)s is busy"),
    }[trouble]


def consequence(outage: Outage) -> str:
    """What that means for whoever looks and asks, and for the jobs."""
    return {
        Trouble.AWAY: _(
            "Until it does, nothing in it can be looked at or changed, and none of its jobs can be run."
        ),
        Trouble.TAKES_NO_CHANGES: _(
            "It is read-only, or its disk is full: until that is over nothing in it can be changed, and none "
            "of its jobs can be run."
        ),
        Trouble.BUSY: _("Others hold what this needed, and it was not waited for any longer."),
        Trouble.REDIS_AWAY: _("Until it does, what only Redis knows cannot be looked at or changed."),
    }[outage.trouble]


def what_became() -> str:
    """Of what was asked for: nobody knows where a connection broke in the middle of it."""
    return _("What was asked for may have been done: look before you ask for it again.")
