"""Reports of mail providers that prove who sent them are handed on."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from anymail.exceptions import AnymailNotSupportedWarning, AnymailWarning

from settlements import addresses
from settlements.mail_events import EventKind, MailEvent
from tests.settlements.webhook_steps import (
    ADDRESS,
    BOUNCE,
    FAILURE,
    MESSAGE_ID,
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


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


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
