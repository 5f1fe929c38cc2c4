"""E-mails through SendGrid and Mailgun: what they are given, and what their answers mean."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from anymail.exceptions import AnymailNotSupportedWarning, AnymailWarning

from settlements import emails
from settlements.mail_answers import Judgement, Kind, judge
from tests.settlements.mail_providers import KEY, LOOPBACK, Mailgun, MailProvider, SendGrid, running

ADDRESS = "pia@example.com"
MESSAGE_ID = "<job-7-1900000000@spendsync.example>"
EMAIL = emails.RenderedEmail("Your share of “Rent”", "You owe 30 €.\n", "<p>You owe 30&nbsp;€.</p>")

Configure = Callable[..., None]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy stands between, and what anymail warns of is an error, but for what the settings silence."""
    monkeypatch.setenv("NO_PROXY", "*")
    with warnings.catch_warnings():
        warnings.simplefilter("error", AnymailWarning)
        warnings.filterwarnings("ignore", "django-anymail has dropped", AnymailNotSupportedWarning)
        yield


@pytest.fixture(params=[SendGrid, Mailgun])
def provider(request: pytest.FixtureRequest, settings: Any) -> Iterator[MailProvider]:
    """Either of them, and the site set up for it."""
    with running(request.param) as server:
        settings.EMAIL_BACKEND = server.backend
        settings.ANYMAIL = {"REQUESTS_TIMEOUT": 10, **server.anymail}
        settings.DEFAULT_FROM_EMAIL = "SpendSync <noreply@spendsync.example>"
        yield server


def send() -> None:
    emails.send(EMAIL, ADDRESS, MESSAGE_ID)


def judgement() -> Judgement:
    """What is made of the error that sending raises."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which one is what is judged
        send()
    return judge(raised.value)


# What they are given --------------------------------------------------------------------------------


def test_the_provider_gets_the_email_with_both_bodies(provider: MailProvider) -> None:
    send()

    (email,) = provider.emails
    assert (email.recipients, email.subject) == ([ADDRESS], EMAIL.subject)
    assert (email.text, email.html) == (EMAIL.text, EMAIL.html)
    assert "noreply@spendsync.example" in email.sender


def test_the_provider_gets_our_message_id(provider: MailProvider) -> None:
    send()

    headers = {name.lower(): value for name, value in provider.emails[0].headers.items()}
    assert headers["message-id"] == MESSAGE_ID


def test_the_provider_is_told_that_nobody_wrote_the_email(provider: MailProvider) -> None:
    send()

    headers = {name.lower(): value for name, value in provider.emails[0].headers.items()}
    assert headers["auto-submitted"] == "auto-generated"


def test_the_provider_is_asked_once_for_one_email(provider: MailProvider) -> None:
    send()

    assert len(provider.requests) == 1


# What their answers mean ----------------------------------------------------------------------------


def test_a_refused_recipient_is_final_and_bars_the_address(provider: MailProvider) -> None:
    provider.refuses_the_recipient()

    found = judgement()

    assert (found.kind, found.bars_address) == (Kind.REFUSED, True)


@pytest.mark.parametrize("code", [400, 404, 413, 422])
def test_a_refused_request_is_final_and_bars_nobody(provider: MailProvider, code: int) -> None:
    provider.says(code, {"message": "no", "errors": [{"message": "no", "field": "subject"}]})

    found = judgement()

    assert (found.kind, found.bars_address) == (Kind.REFUSED, False)


def test_a_wrong_key_is_an_operators_matter(provider: MailProvider, settings: Any) -> None:
    wrong = {name: "a-wrong-key" if name.endswith("API_KEY") else v for name, v in settings.ANYMAIL.items()}
    settings.ANYMAIL = wrong

    found = judgement()

    assert (found.kind, found.bars_address) == (Kind.SERVER, False)
    assert "a-wrong-key" not in found.text


def test_an_account_without_credit_is_an_operators_matter(provider: MailProvider) -> None:
    provider.says(402, {"message": "pay first"})

    assert judgement().kind is Kind.SERVER


def test_a_domain_that_mailgun_does_not_know_is_an_operators_matter(settings: Any) -> None:
    with running(Mailgun) as server:
        settings.EMAIL_BACKEND = server.backend
        settings.ANYMAIL = {**server.anymail, "MAILGUN_SENDER_DOMAIN": "elsewhere.example"}

        assert judgement().kind is Kind.SERVER


def test_too_many_requests_are_tried_again_when_the_provider_says(provider: MailProvider) -> None:
    provider.says(429, {"message": "too many requests"}, Retry_After="17")

    found = judgement()

    assert (found.kind, found.retry_after) == (Kind.TEMPORARY, timedelta(seconds=17))


@pytest.mark.parametrize("code", [500, 502, 503])
def test_a_provider_in_trouble_is_tried_again(provider: MailProvider, code: int) -> None:
    provider.says(code, b"<html>out of order</html>")

    found = judgement()

    assert (found.kind, found.retry_after, found.bars_address) == (Kind.TEMPORARY, None, False)


def test_a_provider_that_never_answers_is_tried_again(provider: MailProvider, settings: Any) -> None:
    provider.never_answers()
    settings.ANYMAIL = {**settings.ANYMAIL, "REQUESTS_TIMEOUT": 0.2}

    assert judgement().kind is Kind.TEMPORARY


def test_a_provider_that_hangs_up_is_tried_again(provider: MailProvider) -> None:
    provider.hangs_up()

    assert judgement().kind is Kind.TEMPORARY


def test_a_provider_that_cannot_be_reached_is_an_operators_matter(
    provider: MailProvider, settings: Any
) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))  # and never listens
        move(settings, provider.origin, f"http://{LOOPBACK}:{taken.getsockname()[1]}")

        assert judgement().kind is Kind.SERVER


def test_a_provider_without_tls_where_it_is_wanted_is_an_operators_matter(
    provider: MailProvider, settings: Any
) -> None:
    move(settings, provider.origin, provider.origin.replace("http:", "https:"))

    assert judgement().kind is Kind.SERVER


def test_a_key_with_a_line_end_is_an_operators_matter_and_stays_unseen(
    provider: MailProvider, settings: Any
) -> None:
    broken = {name: f"{KEY}\n" if name.endswith("API_KEY") else v for name, v in settings.ANYMAIL.items()}
    settings.ANYMAIL = broken

    found = judgement()

    assert found.kind is Kind.SERVER
    assert KEY not in found.text


@pytest.mark.parametrize("quote", [f"{ADDRESS} is unknown", f"your key is {KEY}"])
def test_what_the_provider_quotes_is_not_shown(provider: MailProvider, quote: str) -> None:
    provider.says(400, {"message": quote})

    text = judgement().text

    assert "pia" not in text
    assert KEY not in text


def move(settings: Any, here: str, there: str) -> None:
    """Look for the provider at another address."""
    settings.ANYMAIL = {
        name: value.replace(here, there) if isinstance(value, str) else value
        for name, value in settings.ANYMAIL.items()
    }


# The site's settings --------------------------------------------------------------------------------

_SCRIPT = """
import warnings
from anymail.exceptions import AnymailNotSupportedWarning, AnymailWarning
warnings.simplefilter("error", AnymailWarning)
import django
django.setup()
from django.core.mail import get_connection
from django.core.management import call_command
print("timeout", get_connection().timeout)
call_command("check")
try:
    warnings.warn("something else is no longer supported", AnymailNotSupportedWarning)
except AnymailNotSupportedWarning:
    print("other warnings are heard")
"""


def site(provider: type[MailProvider], **environment: str) -> str:
    """What the script prints on a site that is set up through its environment alone."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "spendsync_site.settings",
        "EMAIL_BACKEND": provider.backend,
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_site_silences_the_one_warning_about_sendgrid() -> None:
    output = site(SendGrid, ANYMAIL=json.dumps({"SENDGRID_API_KEY": KEY}))

    assert "dropped official support" not in output
    assert "other warnings are heard" in output


def test_a_provider_may_take_as_long_as_a_mail_server() -> None:
    assert "timeout 4.5" in site(Mailgun, EMAIL_TIMEOUT="4.5", ANYMAIL=json.dumps({"MAILGUN_API_KEY": KEY}))


def test_anymails_own_timeout_wins() -> None:
    anymail = {"MAILGUN_API_KEY": KEY, "REQUESTS_TIMEOUT": 9}

    assert "timeout 9" in site(Mailgun, EMAIL_TIMEOUT="4.5", ANYMAIL=json.dumps(anymail))
