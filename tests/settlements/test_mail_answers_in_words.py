"""How long an answer asks to wait, and its text: without addresses, keys and amounts."""

from __future__ import annotations

import smtplib
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import time_machine
from anymail.exceptions import (
    AnymailAPIError,
    AnymailInvalidAddress,
)

from settlements.mail_answers import LONGEST_TEXT, judge, plain_line
from tests.settlements.mail_errors import (
    ADDRESS,
    data,
    mailgun_400,
    name,
    no_answer,
    provider,
    recipient,
    sender,
)

KEY = "SG.aaaaaaaaaaaa.bbbbbbbbbbbbbbbb"


NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


# How long to wait -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("30", timedelta(seconds=30)),
        ("1.5", timedelta(seconds=1.5)),
        ("0", timedelta(0)),
        ("-5", timedelta(0)),
        ("9" * 400, timedelta(days=1)),
        ("86401", timedelta(days=1)),
        ("Tue, 01 Jan 2030 12:02:00 GMT", timedelta(minutes=2)),
        ("Tue, 01 Jan 2030 14:02:00 +0200", timedelta(minutes=2)),
        ("Tue, 01 Jan 2030 11:00:00 GMT", timedelta(0)),
        ("Fri, 04 Jan 2030 12:00:00 GMT", timedelta(days=1)),
        ("soon", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_a_day(header: str, wait: timedelta | None) -> None:
    with time_machine.travel(NOW, tick=False):
        assert judge(provider(429, Retry_After=header)).retry_after == wait


@pytest.mark.parametrize("code", [503, 403])
def test_whatever_is_tried_again_waits_as_long_as_it_was_told(code: int) -> None:
    assert judge(provider(code, Retry_After="7")).retry_after == timedelta(seconds=7)


def test_what_is_refused_for_good_has_nothing_to_wait_for() -> None:
    assert judge(provider(400, Retry_After="7")).retry_after is None


def test_an_error_without_an_answer_names_no_time() -> None:
    assert judge(no_answer(requests.ReadTimeout("timed out"))).retry_after is None


# Texts ----------------------------------------------------------------------------------------------


def test_the_text_says_what_the_server_answered() -> None:
    assert judge(recipient(550, "5.1.1 no such user")).text == (
        "SMTPRecipientsRefused: 550 5.1.1 no such user"
    )


def test_the_text_says_what_the_provider_answered() -> None:
    text = judge(mailgun_400("'to' parameter is not a valid address")).text

    assert text.startswith("AnymailRequestsAPIError: ESP API response 400 (as told): {")
    assert "'to' parameter is not a valid address" in text


@pytest.mark.parametrize(
    "address",
    [
        "pia@example.com",
        "<pia@example.com>",
        "o'hara@example.com",
        "pia+x@xn--p1ai.example",
        "pïa@exämple.com",
        '"pia payer"@example.com',
        "pia@[192.0.2.7]",
        "pia%40example.com",
        "mailto:pia@example.com",
        "'Pia <pia@example.com>'",
    ],
)
def test_the_text_holds_no_address(address: str) -> None:
    line = plain_line(f"refused {address} for good")

    assert "(address)" in line
    for part in ("pia", "hara", "pïa", "o'", "example", "192"):
        assert part not in line


def test_an_address_that_lacks_its_domain_is_not_shown_either() -> None:
    error = AnymailInvalidAddress("Invalid email address 'pia.payer' in `to` parsed from 'pia.payer'")

    assert judge(error).text == "AnymailInvalidAddress: no e-mail address in `to`"


@pytest.mark.parametrize(
    "error",
    [
        recipient(550, f"<{ADDRESS}> unknown"),
        sender(550, f"<{ADDRESS}> unknown"),
        provider(400, f'{{"message": "{ADDRESS} is unknown"}}'),
        ValueError(f"'{ADDRESS}'"),
    ],
    ids=name,
)
def test_no_error_quotes_the_address(error: Exception) -> None:
    assert "pia" not in judge(error).text


@pytest.mark.parametrize(
    "leak",
    [f"header value: 'Bearer {KEY}\\n'", f"key {KEY} is unknown", "key-0123456789abcdef0123456789abcdef"],
)
def test_the_text_holds_no_key_that_looks_like_one(leak: str) -> None:
    line = plain_line(leak)

    assert "(key)" in line
    assert not {"aaaa", "bbbb", "0123"} & {line[i : i + 4] for i in range(len(line))}


def test_the_key_that_the_backend_used_is_not_shown_whatever_it_looks_like() -> None:
    error = provider(401, '{"message": "0badc0de-5ecret is no key"}')
    error.backend = SimpleNamespace(api_key="0badc0de-5ecret")

    assert "0badc0de" not in judge(error).text


def test_the_password_of_the_mail_server_is_not_shown(settings: Any) -> None:
    settings.EMAIL_HOST_PASSWORD = "5ecret-word"

    assert "5ecret" not in judge(smtplib.SMTPAuthenticationError(535, b"no: 5ecret-word")).text


def test_the_text_is_one_short_line_of_printable_characters() -> None:
    text = judge(data(554, "line\r\n\x00\x1b " * 5000)).text

    assert len(text) <= LONGEST_TEXT
    assert text.isprintable()


def test_a_long_text_is_not_cut_within_an_address() -> None:
    line = plain_line(" ".join(f"pia{'x' * 200}@example.com" for _ in range(100)))

    assert set(line.split()) == {"(address)"}


def test_an_endless_answer_is_judged_at_once() -> None:
    error = recipient(550, "a" * 1_000_000)
    started = time.process_time()

    judge(error)

    assert time.process_time() - started < 1


def test_an_error_that_cannot_say_what_it_is_is_judged_all_the_same() -> None:
    assert judge(AnymailAPIError("the answer is lost", status_code=503)).text == (
        "AnymailAPIError: the answer is lost"
    )


@pytest.mark.parametrize("amount", ["123.45", "1,234.56", "1.234,56", "1 234,56", "0.99", "1234.56"])
def test_an_amount_in_somebody_elses_text_is_not_kept(amount: str) -> None:
    assert plain_line(f"You owe {amount} EUR.") == "You owe (amount) EUR."


@pytest.mark.parametrize(
    "text", ["550 5.1.10 no", "from 10.0.0.25 refused", "at 12:30:45", "2026-11-26", "TLS 1.3"]
)
def test_what_is_no_amount_is_kept(text: str) -> None:
    assert plain_line(text) == text
