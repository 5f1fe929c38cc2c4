"""Why jobs of this app are skipped and cancelled, as it stands in their rows: told to who reads the pages.

Kept in English; `tests/languages/test_reasons.py` finds what is missing here.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from jobqueue.operating import tell_also, tell_failure, tell_names, tell_refusals
from settlements.moving import REFUSALS

KNOWN = (
    gettext_noop("Added on the page of its settlement"),
    gettext_noop("Deleted on the page of its settlement"),
    gettext_noop("settlement cancelled"),
    gettext_noop("settlement already completed"),
    gettext_noop("settlement already cancelled"),
    gettext_noop("settlement already pending"),
    gettext_noop("settlement already partially paid"),
    gettext_noop("settlement is completed again"),
    gettext_noop("settlement is cancelled again"),
    gettext_noop("settlement is pending again"),
    gettext_noop("settlement is partially paid again"),
    gettext_noop("settlement is history"),
    gettext_noop("settlement was deleted"),
    gettext_noop("the settlement was deleted"),
    gettext_noop("the settlement changed"),
    gettext_noop("the settlement is completed"),
    gettext_noop("the settlement is cancelled"),
    gettext_noop("re-planned"),
    gettext_noop("nothing is left to pay"),
    gettext_noop("money is missing again"),
    gettext_noop("the debt is this person's again"),
    gettext_noop("no letter about it had gone out to this person"),
    gettext_noop("payment was made by a former payer"),
    gettext_noop("payment was deleted"),
    gettext_noop("payment belongs to another settlement"),
    gettext_noop("payment is pending"),
    gettext_noop("payment is processing"),
    gettext_noop("payment is completed"),
    gettext_noop("payment is failed"),
    gettext_noop("payment is refunded"),
    gettext_noop("no payment is named"),
    gettext_noop("no payment is unsettled"),
    gettext_noop("every unsettled payment has a check of its own"),
    gettext_noop("a newer check takes over"),
    gettext_noop("a later reminder went out, or is on its way"),
    gettext_noop("a later reminder is due as well"),
    gettext_noop("the initial reminder went out already"),
    gettext_noop("this reminder went out already"),
    gettext_noop("this reminder is on its way"),
    gettext_noop("the reminder plan is complete"),
    gettext_noop("reminders are paused"),
    gettext_noop("letters to this address are paused"),
    gettext_noop("the address is barred, because it refused or complained about an e-mail"),
    gettext_noop("nobody concerned has an e-mail address"),
    gettext_noop("money of it went back again"),
    gettext_noop("already sent"),
    gettext_noop("already told"),
    gettext_noop("its run ended while the mail server was asked, so perhaps it was sent"),
    gettext_noop("perhaps an earlier run sent it"),
    gettext_noop("payer or the payee"),
)

_WAITING = (
    (r"quiet hours", _("quiet hours")),
    (r"another run of this job is sending the e-mail", _("another run of this job is sending the e-mail")),
    (
        r"another letter to the person is just being sent",
        _("another letter to the person is just being sent"),
    ),
    (r"the payment is unsettled", _("the payment is unsettled")),
    (r"the payment is unsettled; (?P<answer>.+)", _("the payment is unsettled; %(answer)s")),
)
"""Why a job asked for a later time."""


def tell_known_reasons() -> None:
    """Let pages tell those that name something."""
    tell_also(r"due date moved to (?P<moment>.+)", _("due date moved to %(moment)s"))
    tell_also(r"payment is (?P<how>[a-z ]+), not (?P<by>[a-z]+)", _("payment is %(how)s, not %(by)s"))
    tell_also(
        r"user (?P<user>\S+) is not the (?P<how>[a-z ]+) of the settlement",
        _("user %(user)s is not the %(how)s of the settlement"),
    )
    tell_also(r"user (?P<user>\S+) is inactive", _("user %(user)s is inactive"))
    tell_also(r"user (?P<user>\S+) has no e-mail address", _("user %(user)s has no e-mail address"))
    tell_also(r"user (?P<user>\S+) does not exist any more", _("user %(user)s does not exist any more"))
    tell_failure(
        "EmailNotSent",
        r"not taken within (?P<limit>[\d.]+ (?:h|s)): (?P<answer>.+)",
        _("not taken within %(limit)s: %(answer)s"),
    )
    for waits_for, told in _WAITING:
        tell_failure("RetryLater", waits_for, told)
    tell_also(r"failed, because “(?P<why>.+)”", _("failed, because “%(why)s”"))
    tell_also(r"(?P<how>\w+), (?P<amount>.+) refunded", _("%(how)s, %(amount)s refunded"))
    tell_also(r"Added with (?P<amount>.+), (?P<how>[^,]+)", _("Added with %(amount)s, %(how)s"))
    tell_also(
        r"Changed (?P<fields>.+) on the page of its settlement",
        _("Changed %(fields)s on the page of its settlement"),
    )
    tell_refusals(*REFUSALS)


def tell_names_of_records() -> None:
    """Let pages tell the names that say how the record stands."""
    tell_names("settlements.payment", r"(?P<amount>.+) \((?P<status>[^()]+)\)", "%(amount)s (%(status)s)")
    tell_names("settlements.barredaddress", r"(?P<why>.+) \((?P<state>[^()]+)\)", "%(why)s (%(state)s)")
    tell_names("settlements.barredaddress", r"(?P<state>[^()]+)", "%(state)s")
    tell_names("settlements.discrepancy", r"(?P<kind>.+)", "%(kind)s")
    tell_names("settlements.settlement", r"settlement (?P<key>[0-9a-f-]{36})", _("settlement %(key)s"))
