"""What the events of mail providers mean."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from anymail.exceptions import AnymailNotSupportedWarning, AnymailWarning
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason

from settlements import addresses
from settlements.mail_events import EventKind, MailEvent, mail_event_of
from tests.settlements.webhook_steps import (
    ADDRESS,
    BOUNCE,
    FAILURE,
    MESSAGE_ID,
    MOMENT,
    PRIVATE_KEY,
    SIGNING_KEY,
    mailgun,
    public,
    sendgrid,
)


@pytest.fixture(autouse=True)
def _keys(settings: Any) -> Iterator[None]:
    """Both providers are set up; what anymail warns of is an error, but for what the settings silence."""
    settings.ANYMAIL = {
        "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": public(PRIVATE_KEY),
        "MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", AnymailWarning)
        warnings.filterwarnings("ignore", "django-anymail has dropped", AnymailNotSupportedWarning)
        yield


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> list[MailEvent]:
    """What was handed on to settlements.addresses."""
    events: list[MailEvent] = []
    monkeypatch.setattr(addresses, "note_mail_event", events.append)
    return events


@pytest.mark.parametrize(
    ("change", "kind", "bars"),
    [
        ({}, EventKind.BOUNCED, True),
        ({"status": "5.2.1"}, EventKind.BOUNCED, True),
        ({"status": "5.0.0", "reason": "550 5.0.0 unknown user"}, EventKind.BOUNCED, True),
        ({"status": "", "reason": "550 no such user"}, EventKind.BOUNCED, True),
        ({"bounce_classification": "Invalid Address"}, EventKind.BOUNCED, True),
        ({"status": None, "reason": None, "type": None}, EventKind.BOUNCED, True),
        ({"type": "blocked"}, EventKind.UNDELIVERED, False),
        ({"type": "expired"}, EventKind.UNDELIVERED, False),
        ({"status": "5.7.1"}, EventKind.UNDELIVERED, False),
        ({"status": "5.2.2"}, EventKind.UNDELIVERED, False),
        ({"status": "4.4.1"}, EventKind.UNDELIVERED, False),
        ({"status": "", "reason": "550 blocked by our policy"}, EventKind.UNDELIVERED, False),
        ({"status": "5.0.0", "reason": "552 5.0.0 mailbox is full"}, EventKind.UNDELIVERED, False),
        ({"bounce_classification": "Reputation"}, EventKind.UNDELIVERED, False),
        ({"bounce_classification": "Content"}, EventKind.UNDELIVERED, False),
        ({"event": "spamreport"}, EventKind.COMPLAINED, True),
        ({"event": "unsubscribe"}, EventKind.UNSUBSCRIBED, True),
        ({"event": "group_unsubscribe"}, EventKind.UNSUBSCRIBED, True),
    ],
)
def test_what_sendgrids_events_mean(
    change: dict[str, Any], kind: EventKind, bars: bool, noted: list[MailEvent]
) -> None:
    sendgrid([{**BOUNCE, **change}])

    assert [(event.kind, event.bars) for event in noted] == [(kind, bars)]


@pytest.mark.parametrize(
    ("reason", "kind", "bars"),
    [
        ({"reason": "Bounced Address"}, EventKind.REFUSED, True),
        ({"reason": "Invalid"}, EventKind.REFUSED, True),
        ({"reason": "Unsubscribed Address"}, EventKind.REFUSED, True),
        ({"reason": "Spam Reporting Address"}, EventKind.REFUSED, True),
        ({"type": "bounce", "reason": "an earlier bounce"}, EventKind.REFUSED, True),
        ({"reason": "Spam Content"}, EventKind.UNDELIVERED, False),
        ({"reason": "Recipient List over Package Quota"}, EventKind.UNDELIVERED, False),
        ({"type": "blocked"}, EventKind.UNDELIVERED, False),
        ({"type": "expired"}, EventKind.UNDELIVERED, False),
        ({}, EventKind.UNDELIVERED, False),
    ],
)
def test_what_it_means_that_sendgrid_did_not_try(
    reason: dict[str, str], kind: EventKind, bars: bool, noted: list[MailEvent]
) -> None:
    sendgrid([{"event": "dropped", "email": ADDRESS, "timestamp": MOMENT, **reason}])

    assert [(event.kind, event.bars) for event in noted] == [(kind, bars)]


@pytest.mark.parametrize(
    ("change", "kind", "bars"),
    [
        ({}, EventKind.BOUNCED, True),
        ({"reason": "suppress-bounce", "delivery-status": {"code": 605}}, EventKind.BOUNCED, True),
        ({"delivery-status": None}, EventKind.BOUNCED, True),
        ({"delivery-status": {"message": "550 no such user"}}, EventKind.BOUNCED, True),
        ({"delivery-status": {"enhanced-code": "5.7.1"}}, EventKind.UNDELIVERED, False),
        ({"delivery-status": {"message": "554 5.7.1 spam"}}, EventKind.UNDELIVERED, False),
        ({"reason": "generic"}, EventKind.UNDELIVERED, False),
        ({"reason": "old"}, EventKind.UNDELIVERED, False),
        ({"reason": "suppress-complaint"}, EventKind.REFUSED, True),
        ({"reason": "suppress-unsubscribe"}, EventKind.REFUSED, True),
        ({"event": "rejected", "reason": None}, EventKind.UNDELIVERED, False),
        ({"event": "complained"}, EventKind.COMPLAINED, True),
        ({"event": "unsubscribed"}, EventKind.UNSUBSCRIBED, True),
    ],
)
def test_what_mailguns_events_mean(
    change: dict[str, Any], kind: EventKind, bars: bool, noted: list[MailEvent]
) -> None:
    event = {**FAILURE, **change}
    if event["event"] != "failed":
        del event["severity"]
    mailgun(event)

    assert [(event.kind, event.bars) for event in noted] == [(kind, bars)]


@pytest.mark.parametrize(
    "name", ["processed", "deferred", "delivered", "open", "click", "group_resubscribe", "new"]
)
def test_other_events_of_sendgrid_are_not_handed_on(name: str, noted: list[MailEvent]) -> None:
    assert sendgrid([{**BOUNCE, "event": name}]) == 200
    assert noted == []


@pytest.mark.parametrize(
    "change", [{"severity": "temporary"}] + [{"event": name} for name in ("delivered", "opened", "clicked")]
)
def test_other_events_of_mailgun_are_not_handed_on(change: dict[str, Any], noted: list[MailEvent]) -> None:
    event = {**FAILURE, **change}
    if event["event"] != "failed":
        del event["severity"]

    assert mailgun(event) == 200
    assert noted == []


def tracked(**fields: Any) -> AnymailTrackingEvent:
    """A bounce as anymail passes it on."""
    return AnymailTrackingEvent(**{"event_type": EventType.BOUNCED, "recipient": ADDRESS, **fields})


@pytest.mark.parametrize(
    ("event_type", "reason", "kind", "bars"),
    [
        (EventType.BOUNCED, RejectReason.INVALID, EventKind.BOUNCED, True),
        (EventType.BOUNCED, RejectReason.TIMED_OUT, EventKind.UNDELIVERED, False),
        (EventType.BOUNCED, RejectReason.BLOCKED, EventKind.UNDELIVERED, False),
        (EventType.BOUNCED, RejectReason.OTHER, EventKind.UNDELIVERED, False),
        (EventType.REJECTED, RejectReason.SPAM, EventKind.REFUSED, True),
        (EventType.REJECTED, RejectReason.BLOCKED, EventKind.UNDELIVERED, False),
        (EventType.REJECTED, None, EventKind.UNDELIVERED, False),
        (EventType.FAILED, None, EventKind.UNDELIVERED, False),
    ],
)
def test_what_anymails_reasons_mean(event_type: str, reason: str | None, kind: EventKind, bars: bool) -> None:
    event = mail_event_of(tracked(event_type=event_type, reject_reason=reason), "X")

    assert event is not None
    assert (event.kind, event.bars) == (kind, bars)


def test_the_message_id_in_the_metadata_wins() -> None:
    event = mail_event_of(tracked(metadata={"message_id": MESSAGE_ID}, message_id="<other@x.example>"), "X")

    assert event is not None
    assert (event.message_id, event.provider_message_id) == (MESSAGE_ID, "<other@x.example>")


def test_an_event_without_a_time_happened_now() -> None:
    event = mail_event_of(tracked(), "X")

    assert event is not None
    assert abs((datetime.now(UTC) - event.occurred_at).total_seconds()) < 60


@pytest.mark.parametrize("recipient", [None, "", "pia", 7, [ADDRESS], f"{'x' * 300}@example.com", "a@b\x00"])
def test_an_event_without_an_address_is_not_handed_on(recipient: Any) -> None:
    assert mail_event_of(tracked(recipient=recipient), "X") is None


@pytest.mark.parametrize("odd", [7, [], {}, "\x00", None, "x" * 10_000])
def test_odd_details_do_no_harm(odd: Any) -> None:
    event = mail_event_of(
        tracked(message_id=odd, metadata=odd, mta_response=odd, description=odd, esp_event=odd), "X"
    )

    assert event is not None
    assert (event.message_id, event.provider_message_id, event.address) == ("", "", ADDRESS)
    assert event.text.isprintable()
