"""Reports of SendGrid and Mailgun, signed as theirs are, and what becomes of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from anymail.exceptions import AnymailNotSupportedWarning, AnymailWarning
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client

from settlements import addresses
from settlements.mail_events import EventKind, MailEvent, mail_event_of

SENDGRID = "/anymail/sendgrid/tracking/"
MAILGUN = "/anymail/mailgun/tracking/"
ADDRESS = "pia@example.com"
MESSAGE_ID = "<job-7-1900000000@spendsync.example>"
MOMENT = 1_893_499_200
SIGNING_KEY = "mailgun-signing-key"
PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
SECRET = "hooks:5ecret"

BOUNCE = {
    "event": "bounce",
    "type": "bounce",
    "email": ADDRESS,
    "timestamp": MOMENT,
    "reason": f"550 5.1.1 <{ADDRESS}> no such user",
    "status": "5.1.1",
    "smtp-id": MESSAGE_ID,
    "anymail_id": "an-anymail-id",
    "sg_event_id": "an-event",
}
FAILURE = {
    "event": "failed",
    "severity": "permanent",
    "reason": "bounce",
    "recipient": ADDRESS,
    "timestamp": MOMENT + 0.5,
    "message": {"headers": {"message-id": MESSAGE_ID.strip("<>")}},
    "delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": f"<{ADDRESS}> no such user"},
    "user-variables": {},
}


def public(key: Any) -> str:
    """A public key as SendGrid shows it: the middle of a PEM file."""
    pem: str = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return "".join(pem.splitlines()[1:-1])


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


def sendgrid(content: object, *, key: Any = PRIVATE_KEY, **headers: str) -> int:
    """Report as SendGrid does, signed; the status code of the answer."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    signature = key.sign(str(MOMENT).encode() + body, ec.ECDSA(hashes.SHA256()))
    signed = {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": str(MOMENT),
    }
    return post(SENDGRID, body, {**signed, **headers})


def mailgun(data: object, *, key: str = SIGNING_KEY) -> int:
    """Report as Mailgun does, signed; the status code of the answer."""
    token = "a-token-of-this-report"
    signature = hmac.new(key.encode(), f"{MOMENT}{token}".encode(), hashlib.sha256).hexdigest()
    signed = {"timestamp": str(MOMENT), "token": token, "signature": signature}
    return post(MAILGUN, json.dumps({"signature": signed, "event-data": data}).encode())


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return client.post(path, body, content_type="application/json", headers=headers or {}).status_code


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


# What is let in -------------------------------------------------------------------------------------


def test_a_report_of_sendgrid_is_handed_on(noted: list[MailEvent]) -> None:
    assert sendgrid([BOUNCE]) == 200
    assert noted == [
        MailEvent(
            kind=EventKind.BOUNCED,
            bars=True,
            address=ADDRESS,
            text="SendGrid: bounced: 550 5.1.1 <(address)> no such user",
            occurred_at=datetime.fromtimestamp(MOMENT, UTC),
            provider_message_id="an-anymail-id",
            message_id=MESSAGE_ID,
        )
    ]


def test_a_report_of_mailgun_is_handed_on(noted: list[MailEvent]) -> None:
    assert mailgun(FAILURE) == 200
    assert noted == [
        MailEvent(
            kind=EventKind.BOUNCED,
            bars=True,
            address=ADDRESS,
            text="Mailgun: bounced: <(address)> no such user",
            occurred_at=datetime.fromtimestamp(MOMENT + 0.5, UTC),
            provider_message_id=MESSAGE_ID,
            message_id=MESSAGE_ID,
        )
    ]


def test_each_event_of_a_batch_is_handed_on(noted: list[MailEvent]) -> None:
    sendgrid([BOUNCE, {**BOUNCE, "event": "open"}, {**BOUNCE, "email": "b@example.com"}])

    assert [event.address for event in noted] == [ADDRESS, "b@example.com"]


@pytest.mark.parametrize("report", [lambda: sendgrid([BOUNCE]), lambda: mailgun(FAILURE)])
def test_a_repeated_report_is_handed_on_again(report: Callable[[], int], noted: list[MailEvent]) -> None:
    assert (report(), report()) == (200, 200)
    assert len(noted) == 2


def test_an_error_of_ours_makes_the_provider_report_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(event: MailEvent) -> None:
        raise ValueError("the database is away")

    monkeypatch.setattr(addresses, "note_mail_event", fail)

    assert sendgrid([BOUNCE]) == 500


def test_a_secret_in_the_address_is_enough_for_sendgrid(settings: Any, noted: list[MailEvent]) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}

    assert post(SENDGRID, json.dumps([BOUNCE]).encode(), {"Authorization": basic(SECRET)}) == 200
    assert len(noted) == 1


def test_a_secret_is_asked_for_besides_the_signature(settings: Any, noted: list[MailEvent]) -> None:
    settings.ANYMAIL = {**settings.ANYMAIL, "WEBHOOK_SECRET": [SECRET]}

    assert (sendgrid([BOUNCE]), mailgun(FAILURE)) == (400, 400)
    assert sendgrid([BOUNCE], Authorization=basic(SECRET)) == 200
    assert len(noted) == 1


def test_mailguns_api_key_signs_where_no_signing_key_is_set(settings: Any) -> None:
    settings.ANYMAIL = {"MAILGUN_API_KEY": "an-api-key"}

    assert mailgun(FAILURE, key="an-api-key") == 200


def test_a_new_key_counts_from_the_next_report_on(settings: Any) -> None:
    mailgun(FAILURE)
    settings.ANYMAIL = {"MAILGUN_WEBHOOK_SIGNING_KEY": "a-new-key"}

    assert (mailgun(FAILURE), mailgun(FAILURE, key="a-new-key")) == (400, 200)


# What is kept out -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "anymail",
    [
        {},
        {"MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY},
        {"SENDGRID_API_KEY": "SG.x"},
        {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": ""},
        {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": "no key at all"},
        {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": public(ed25519.Ed25519PrivateKey.generate())},
        {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": 7, "WEBHOOK_SECRET": SECRET},
        {"WEBHOOK_SECRET": ""},
        {"WEBHOOK_SECRET": []},
        {"WEBHOOK_SECRET": [SECRET, ""]},
        {"WEBHOOK_SECRET": "None"},
    ],
)
def test_sendgrid_is_refused_while_no_key_proves_it(
    settings: Any, anymail: dict[str, Any], noted: list[MailEvent]
) -> None:
    settings.ANYMAIL = anymail

    assert sendgrid([BOUNCE]) == 403
    assert noted == []


@pytest.mark.parametrize(
    "anymail",
    [
        {},
        {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": public(PRIVATE_KEY)},
        {"WEBHOOK_SECRET": SECRET},
        {"MAILGUN_WEBHOOK_SIGNING_KEY": ""},
        {"MAILGUN_WEBHOOK_SIGNING_KEY": "", "MAILGUN_API_KEY": "an-api-key"},
        {"MAILGUN_WEBHOOK_SIGNING_KEY": " "},
        {"MAILGUN_WEBHOOK_SIGNING_KEY": "schlüssel"},
        {"MAILGUN_WEBHOOK_SIGNING_KEY": 7},
        {"MAILGUN_API_KEY": ""},
    ],
)
@pytest.mark.parametrize("key", [SIGNING_KEY, ""])
def test_mailgun_is_refused_while_no_key_proves_it(
    settings: Any, anymail: dict[str, Any], key: str, noted: list[MailEvent]
) -> None:
    settings.ANYMAIL = anymail

    assert mailgun(FAILURE, key=key) == 403
    assert noted == []


def test_the_log_says_which_key_is_missing(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": "hooks"}

    sendgrid([BOUNCE])
    mailgun(FAILURE)

    assert [record.getMessage() for record in warnings_in(caplog)] == [
        "refused a webhook of SendGrid: WEBHOOK_SECRET must be user:password, or a list of such",
        "refused a webhook of Mailgun: neither MAILGUN_WEBHOOK_SIGNING_KEY nor MAILGUN_API_KEY "
        "is set in ANYMAIL",
    ]


def test_what_somebody_else_signed_is_refused(noted: list[MailEvent]) -> None:
    other = ec.generate_private_key(ec.SECP256R1())

    assert (sendgrid([BOUNCE], key=other), mailgun(FAILURE, key="another-key")) == (400, 400)
    assert noted == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Twilio-Email-Event-Webhook-Signature": ""},
        {"X-Twilio-Email-Event-Webhook-Signature": "no base64 !"},
        {"X-Twilio-Email-Event-Webhook-Signature": "é"},
        {"X-Twilio-Email-Event-Webhook-Timestamp": str(MOMENT + 1)},
    ],
)
def test_a_changed_signature_is_refused(headers: dict[str, str], noted: list[MailEvent]) -> None:
    assert sendgrid([BOUNCE], **headers) == 400
    assert noted == []


def test_an_unsigned_report_is_refused() -> None:
    assert post(SENDGRID, json.dumps([BOUNCE]).encode()) == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"no JSON",
        b"null",
        b"7",
        b'"text"',
        b"{}",
        b"[7]",
        b"[null]",
        b"[{}]",
        b'[{"event": []}]',
        b'[{"event": "bounce", "timestamp": "today"}]',
        b'[{"event": "bounce", "timestamp": 1e300}]',
        b'[{"event": "dropped", "reason": 7}]',
        b"[" * 100_000,
    ],
    ids=lambda body: body[:40],
)
def test_signed_nonsense_of_sendgrid_is_refused(body: bytes, noted: list[MailEvent]) -> None:
    assert sendgrid(body) == 400
    assert noted == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"no JSON",
        b"null",
        b"[]",
        b"{}",
        b'{"signature": null}',
        b'{"signature": {"token": "a", "timestamp": "b", "signature": 7}}',
        '{"signature": {"token": "ü", "timestamp": "b", "signature": "c"}}'.encode(),
        b"[" * 100_000,
    ],
    ids=lambda body: body[:40],
)
def test_nonsense_for_mailgun_is_refused(body: bytes) -> None:
    assert post(MAILGUN, body) == 400


@pytest.mark.parametrize(
    "data",
    [None, 7, [], {}, {"event": []}, {**FAILURE, "timestamp": "today"}, {**FAILURE, "timestamp": 1e300}]
    + [{**FAILURE, "message": 7}, {**FAILURE, "reason": {}}],
    ids=str,
)
def test_signed_nonsense_of_mailgun_is_refused(data: object, noted: list[MailEvent]) -> None:
    assert mailgun(data) == 400
    assert noted == []


def test_mailguns_legacy_webhooks_are_refused() -> None:
    assert Client().post(MAILGUN, {"event": "bounced", "recipient": ADDRESS}).status_code == 400


@pytest.mark.parametrize("report", [sendgrid, mailgun])
def test_a_huge_report_is_refused(
    report: Callable[[object], int], settings: Any, noted: list[MailEvent]
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    assert report([{**BOUNCE, "reason": "x" * 1000}]) == 413
    assert noted == []


@pytest.mark.parametrize("path", [SENDGRID, MAILGUN])
def test_looking_at_the_address_does_nothing(path: str, noted: list[MailEvent]) -> None:
    assert (Client().get(path).status_code, Client().head(path).status_code) == (405, 200)
    assert noted == []


@pytest.mark.parametrize(
    "path",
    ["/anymail/sendgrid/inbound/", "/anymail/mailgun/inbound/", "/anymail/postmark/tracking/", "/anymail/"],
)
def test_there_is_no_other_webhook(path: str) -> None:
    assert post(path, b"{}") == 404


def test_a_refused_report_leaves_no_address_and_no_key_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    mailgun(FAILURE, key="another-key")
    sendgrid([{**BOUNCE, "timestamp": ADDRESS}])

    assert len(warnings_in(caplog)) == 2
    for secret in (ADDRESS, SIGNING_KEY, public(PRIVATE_KEY)):
        assert secret not in caplog.text


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "settlements.webhooks"]


# What the events mean -------------------------------------------------------------------------------


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
