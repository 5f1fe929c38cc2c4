"""The names of causes: one for all failures of one cause, without anybody's data."""

from __future__ import annotations

import smtplib
import time

import pytest

from jobqueue.exceptions import Discard
from jobqueue.models.cause_names import LONGEST_CAUSE, cause_of, cause_of_text


class EmailNotSent(Exception):
    """As settlements have one."""


class HTTPError(Exception):
    """As clients of HTTP have one, with an answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} Server Error for url https://example.com/pay/17")
        self.response = type("Answer", (), {"status_code": status})()


class Unspeakable(Exception):
    """An error that answers every question with another error."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    @property
    def code(self) -> int:
        raise RuntimeError("no code")


def _raised_for(error: BaseException, first: BaseException) -> BaseException:
    try:
        raise error from first
    except BaseException as caught:
        return caught


REFUSED = smtplib.SMTPRecipientsRefused({"pia@example.com": (550, b"5.1.1 no such mailbox")})


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (_raised_for(EmailNotSent("not sent"), REFUSED), "EmailNotSent: SMTPRecipientsRefused 550"),
        (
            EmailNotSent("SMTPRecipientsRefused: 550 no such mailbox"),
            "EmailNotSent: SMTPRecipientsRefused 550",
        ),
        (Discard("SMTPDataError: 554 5.7.1 spam"), "Discard: SMTPDataError 554"),
        (Discard("not taken within 24 h: SMTPServerDisconnected: gone"), "Discard: SMTPServerDisconnected"),
        (REFUSED, "SMTPRecipientsRefused 550"),
        (HTTPError(503), "HTTPError 503"),
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError 111"),
        (_raised_for(ValueError("x"), KeyError("y")), "ValueError: KeyError"),
        (ValueError("no luck"), "ValueError: no luck"),
        (ValueError(), "ValueError"),
        (Unspeakable(), "Unspeakable"),
    ],
)
def test_a_cause_is_the_class_the_last_class_of_the_chain_and_a_code(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("ValueError: job 17 of 20", "ValueError: job 4711 of 5"),
        (
            "ValueError: id 7d444840-9dc0-11d1-b245-5ffdce74fad2",
            "ValueError: id 0e37df36-f698-11e6-8dd4-cb9ced3df976",
        ),
        ("ValueError: key deadbeefcafe", "ValueError: key cafebabefeed"),
        ("ValueError: to pia@example.com", "ValueError: to o'hara@example.org"),
        ("ValueError: 1,234.50 EUR are due", "ValueError: 7 EUR are due"),
        ("ValueError: €12.30 are due", "ValueError: €7 are due"),
        ("ValueError: nobody is called 'Pia Payer'", 'ValueError: nobody is called "Bo"'),
        ("OSError: <Socket at 0x7f1a>", "OSError: <Socket at 0x9b22>"),
        ("OSError: https://example.com/a failed", "OSError: http://example.org/b?c=d failed"),
        ("ConnectionError: no route to 10.0.0.7:25", "ConnectionError: no route to 192.168.1.1:25"),
    ],
)
def test_failures_that_differ_in_data_alone_have_one_cause(text: str, other: str) -> None:
    assert cause_of_text(text) == cause_of_text(other)


@pytest.mark.parametrize("data", ["pia@example.com", "84.50", "deadbeefcafe", "4711", "Pia Payer"])
def test_a_cause_holds_no_data(data: str) -> None:
    assert data not in cause_of_text(f"ValueError: about '{data}', that is \"{data}\"")


@pytest.mark.parametrize("text", ["ValueError: 550 EUR are missing", "KeyError: 404", "Discard: 200 of them"])
def test_a_number_that_is_no_code_is_none(text: str) -> None:
    assert not any(character.isdigit() for character in cause_of_text(text))


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "\ud800", "x" * 5_000, "Aa" * 5_000, "E" * 5_000 + ": x", "\n\n"]
)
def test_every_text_has_a_cause_that_a_row_can_hold(text: str) -> None:
    cause = cause_of_text(text)
    assert 1 <= len(cause) <= LONGEST_CAUSE
    assert cause.encode()


def test_a_hostile_text_takes_no_time() -> None:
    started = time.process_time()
    for text in ("Aa" * 5_000, ": Aa" * 2_000, "a" * 5_000, "'" * 5_000, "@" * 5_000, "A.a" * 3_000):
        cause_of_text(f"ValueError: {text}")
    assert time.process_time() - started < 0.5


def test_a_chain_that_is_a_circle_ends() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    assert cause_of(first) == "ValueError: KeyError"
