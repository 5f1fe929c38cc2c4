"""What mail providers report after they took an e-mail: that it bounced, that somebody complained.

Anymail turns the webhooks of SendGrid and Mailgun into its tracking events; `mail_event_of` keeps those that
say something about an address, in the same words for both. `settlements.addresses` listens.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from django.utils import timezone

from settlements.emails import LONGEST_ADDRESS
from settlements.mail_answers import blames_the_mailbox, plain_line

logger = logging.getLogger("settlements.mail_events")


class EventKind(StrEnum):
    """What happened to an e-mail, or what its reader did."""

    BOUNCED = "bounced"
    """The mailbox's server refused it for good: there is no such mailbox."""
    COMPLAINED = "complained"
    """The reader reported it as spam."""
    REFUSED = "refused"
    """The provider did not try: the address bounced, complained or unsubscribed before, or is none."""
    UNSUBSCRIBED = "unsubscribed"
    """The reader wants no more of them."""
    UNDELIVERED = "undelivered"
    """It did not arrive, for a reason that says nothing about the mailbox: policy, content, time."""


@dataclass(frozen=True, slots=True)
class MailEvent:
    """One report about one address."""

    kind: EventKind
    bars: bool
    """Whether nothing more should be sent to the address."""
    address: str
    text: str
    """Why, in one line without e-mail addresses."""
    occurred_at: datetime
    """When it happened, with its time zone."""
    provider_message_id: str = ""
    """The provider's name for the e-mail: what `anymail_status.message_id` was when it was sent."""
    message_id: str = ""
    """Our Message-ID, if the provider reports it: of the metadata, or the header."""


def mail_event_of(event: AnymailTrackingEvent, esp_name: str) -> MailEvent | None:
    """The event in our words; None if it says nothing about an address."""
    verdict = _verdict(event)
    if verdict is None:
        return None
    address = _short_text(event.recipient)
    if "@" not in address or len(address) > LONGEST_ADDRESS:
        logger.warning("%s reported that an e-mail was %s and named no address", esp_name, verdict[0])
        return None
    kind, bars = verdict
    return MailEvent(
        kind=kind,
        bars=bars,
        address=address,
        text=plain_line(": ".join(filter(None, (f"{esp_name}: {event.event_type}", _reason(event))))),
        occurred_at=event.timestamp or timezone.now(),
        provider_message_id=_short_text(event.message_id),
        message_id=_message_id(event),
    )


# What the event means -------------------------------------------------------------------------------

_LISTED: Final = frozenset(
    {RejectReason.INVALID, RejectReason.BOUNCED, RejectReason.SPAM, RejectReason.UNSUBSCRIBED}
)
_LISTED_REASONS: Final = frozenset(
    {"spam reporting address", "suppress-complaint", "suppress-unsubscribe"}  # SendGrid's, Mailgun's
)
"""The same in words that anymail knows only as "other"."""
_SOFT_TYPES: Final = frozenset({"blocked", "expired"})
_SOFT_CLASSES: Final = frozenset({"content", "reputation", "frequency/volume", "technical"})
"""SendGrid's `type` and `bounce_classification` of bounces that anymail passes on like all others."""


def _verdict(event: AnymailTrackingEvent) -> tuple[EventKind, bool] | None:
    """What it is and whether it bars the address. What may still arrive (`DEFERRED`) is nothing yet."""
    if event.event_type == EventType.COMPLAINED:
        return EventKind.COMPLAINED, True
    if event.event_type == EventType.UNSUBSCRIBED:
        return EventKind.UNSUBSCRIBED, True
    if event.event_type in (EventType.BOUNCED, EventType.REJECTED) and _is_listed(event):
        return EventKind.REFUSED, True
    if event.event_type == EventType.BOUNCED and _is_hard(event):
        return EventKind.BOUNCED, True
    if event.event_type in (EventType.BOUNCED, EventType.REJECTED, EventType.FAILED):
        return EventKind.UNDELIVERED, False
    return None


def _is_listed(event: AnymailTrackingEvent) -> bool:
    """Whether the provider has the address on a list of its own and did not try."""
    if _detail(event, "reason").lower() in _LISTED_REASONS:
        return True
    return event.event_type == EventType.REJECTED and event.reject_reason in _LISTED


def _is_hard(event: AnymailTrackingEvent) -> bool:
    """Whether a bounce means that the mailbox is no good."""
    if event.reject_reason not in (None, RejectReason.BOUNCED, RejectReason.INVALID):
        return False
    if _detail(event, "type").lower() in _SOFT_TYPES:
        return False
    if _detail(event, "bounce_classification").lower() in _SOFT_CLASSES:
        return False
    return blames_the_mailbox(_answer(event))


def _answer(event: AnymailTrackingEvent) -> str:
    """What the mailbox's server said, with the enhanced status code first if there is a telling one."""
    status = _detail(event, "status") or _detail(event, "delivery-status", "enhanced-code")
    said = _text(event.mta_response) or _text(event.description)
    said = re.sub(r"^(?:\d{3}[ -])?(?:5\.0\.0\s)?", "", said)
    telling = re.fullmatch(r"[45]\.\d{1,3}\.\d{1,3}", status) and status != "5.0.0"
    return f"{status} {said}" if telling else said


# Its parts, which may be of any type: they are somebody else's JSON ----------------------------------


def _reason(event: AnymailTrackingEvent) -> str:
    return _text(event.mta_response) or _text(event.description) or _detail(event, "reason")


def _message_id(event: AnymailTrackingEvent) -> str:
    metadata = event.metadata if isinstance(event.metadata, dict) else {}
    header = _short_text(event.message_id)
    return (
        _short_text(metadata.get("message_id"))
        or _short_text(_detail(event, "smtp-id"))  # SendGrid; Mailgun's own name for it is the header
        or (header if header.startswith("<") else "")
    )


def _detail(event: AnymailTrackingEvent, *path: str) -> str:
    """A text out of what the provider sent: SendGrid's event itself, or Mailgun's `event-data`."""
    found = event.esp_event
    if isinstance(found, dict):
        found = found.get("event-data", found)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return _text(found)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _short_text(value: object) -> str:
    """The text, if it is one that can be stored and compared."""
    text = _text(value)
    return text if text.isprintable() and len(text) <= 255 else ""
