"""Reports that nobody proves, and nonsense, are kept out, and no secret gets into the log."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anymail.exceptions import AnymailNotSupportedWarning, AnymailWarning
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.test import Client

from settlements import addresses
from settlements.mail_events import MailEvent
from tests.settlements.webhook_steps import (
    ADDRESS,
    BOUNCE,
    FAILURE,
    MAILGUN,
    MOMENT,
    PRIVATE_KEY,
    SECRET,
    SENDGRID,
    SIGNING_KEY,
    mailgun,
    post,
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
