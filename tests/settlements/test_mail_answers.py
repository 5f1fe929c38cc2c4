"""What an answer to an e-mail means: temporary, the server, final, or a bug of ours."""

from __future__ import annotations

import errno
import smtplib
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import BadHeaderError
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, ProtocolError

from settlements.mail_answers import Kind, judge
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


def not_connected(reason: type[NewConnectionError], *details: Any) -> requests.ConnectionError:
    return requests.ConnectionError(MaxRetryError(None, "/", reason(*details)))  # type: ignore[arg-type]


def refused_recipients(*statuses: str) -> AnymailRecipientsRefused:
    message = SimpleNamespace(anymail_status=SimpleNamespace(status=set(statuses)))
    return AnymailRecipientsRefused(email_message=message)


def sendgrid_400(field: str, message: str = "Does not contain a valid address.") -> Exception:
    return provider(400, f'{{"errors": [{{"message": "{message}", "field": "{field}", "help": null}}]}}')


TEMPORARY = [
    recipient(451, "4.7.1 try again later"),
    recipient(450, "greylisted"),
    recipient(452, "4.2.2 mailbox full"),
    recipient(552, "5.2.2 over quota"),
    recipient(552, "exceeded storage allocation"),
    recipient(554, "5.2.2 mailbox full"),
    recipient(550, "the mailbox is full"),
    recipient(421, "shutting down"),
    smtplib.SMTPRecipientsRefused({ADDRESS: (550, b"5.1.1 no"), "b@example.com": (451, b"later")}),
    sender(451, "4.3.0 database unavailable"),
    data(421, "4.4.2 time-out"),
    data(452, "4.3.1 out of space"),
    data(552, "5.2.2 over quota"),
    data(554, "quota exceeded"),
    data(250, "out of order"),
    smtplib.SMTPResponseException(454, b"TLS not available now"),
    smtplib.SMTPServerDisconnected("Connection unexpectedly closed: timed out"),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    BrokenPipeError(errno.EPIPE, "broken pipe"),
    ConnectionAbortedError(errno.ECONNABORTED, "aborted"),
    provider(408),
    provider(425),
    provider(429),
    provider(500),
    provider(502, "<html>bad gateway</html>"),
    provider(503),
    no_answer(requests.ReadTimeout("read timed out")),
    no_answer(requests.Timeout("timed out")),
    no_answer(requests.exceptions.ChunkedEncodingError("incomplete read")),
    no_answer(requests.ConnectionError(ProtocolError("aborted", ConnectionResetError()))),
    AnymailAPIError("the provider's own client failed"),
]


SERVER = [
    smtplib.SMTPAuthenticationError(535, b"5.7.8 bad credentials"),
    smtplib.SMTPAuthenticationError(454, b"4.7.0 try later"),
    sender(530, "5.7.0 authentication required"),
    recipient(530, "5.7.0 authentication required"),
    data(535, "5.7.8 not authenticated"),
    sender(538, "5.7.11 encryption required"),
    smtplib.SMTPConnectError(554, b"no service"),
    smtplib.SMTPConnectError(421, b"busy"),
    smtplib.SMTPHeloError(550, b"who are you"),
    smtplib.SMTPNotSupportedError("STARTTLS extension not supported by server."),
    smtplib.SMTPException("No suitable authentication method found."),
    smtplib.SMTPResponseException(502, b"STARTTLS not implemented"),
    ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    socket.gaierror(socket.EAI_NONAME, "name not known"),
    OSError(errno.EHOSTUNREACH, "no route to host"),
    OSError(errno.ENETUNREACH, "network is unreachable"),
    TimeoutError("timed out"),
    ssl.SSLError(1, "wrong version number"),
    ssl.SSLCertVerificationError(1, "certificate verify failed"),
    FileNotFoundError(errno.ENOENT, "no such certificate"),
    provider(401),
    provider(402),
    provider(403),
    provider(407),
    provider(404, '{"message": "Domain not found: mail.example"}'),
    provider(200, "<html>a captive portal</html>"),
    no_answer(requests.ConnectTimeout("timed out")),
    no_answer(requests.exceptions.SSLError("certificate verify failed")),
    no_answer(requests.exceptions.ProxyError("no proxy")),
    no_answer(requests.exceptions.MissingSchema("no scheme supplied")),
    no_answer(requests.exceptions.InvalidHeader("a line end in the key")),
    no_answer(not_connected(NewConnectionError, None, "refused")),
    no_answer(not_connected(NameResolutionError, "api.example", None, socket.gaierror("unknown"))),
    AnymailConfigurationError("You must set ANYMAIL"),
    ImproperlyConfigured("no such setting"),
    ImportError("no such backend"),
]


REFUSED = [
    recipient(550, "5.1.1 no such user"),
    recipient(550, "5.7.1 relaying denied"),
    sender(553, "5.7.1 sender address rejected"),
    sender(501, "5.1.7 bad sender"),
    data(554, "5.6.0 malformed"),
    data(552, "5.3.4 too big"),
    data(552, "message exceeds the fixed size"),
    data(550, "no"),
    smtplib.SMTPResponseException(550, b"no"),
    provider(400),
    provider(404),
    provider(405),
    provider(409),
    provider(413),
    provider(422),
    refused_recipients("rejected"),
    AnymailRecipientsRefused(),
    AnymailInvalidAddress("Invalid email address 'x' in `from_email` parsed from 'x'"),
]


OURS = [
    TypeError("x"),
    ValueError("x"),
    BadHeaderError("a line end in a header"),
    AnymailUnsupportedFeature("no such feature"),
    AnymailSerializationError("no such type"),
    RuntimeError("x"),
    type("Odd", (Exception,), {})(),
]


BARRING = [
    recipient(550, "5.1.1 no such user"),
    recipient(550, "no such user"),
    recipient(550, "<spam.relay@example.com>: no such user"),
    recipient(551, "user not local"),
    recipient(553, "mailbox name not allowed"),
    recipient(550, "5.1.2 no such domain"),
    recipient(553, "5.1.3 bad syntax"),
    recipient(556, "5.1.10 the domain takes no e-mail"),
    recipient(550, "#5.1.0 address rejected"),
    recipient(550, "5.2.0 mailbox problem"),
    recipient(550, "5.2.1 mailbox disabled"),
    data(550, "5.1.1 no such user"),
    data(550, "5.1.10 null MX"),
    data(554, "5.2.1 mailbox disabled"),
    sendgrid_400("personalizations.0.to.0.email"),
    sendgrid_400("personalizations.0.to", "must have at least one email object with a valid email address."),
    mailgun_400("'to' parameter is not a valid address. please check documentation"),
    mailgun_400("to parameter is not a valid address. please check documentation"),
    refused_recipients("rejected"),
    refused_recipients("invalid", "rejected"),
    AnymailInvalidAddress(f"Invalid email address '{ADDRESS}' in `to` parsed from '{ADDRESS}'"),
]


NOT_BARRING = [
    recipient(550, "5.7.1 blocked by policy"),
    recipient(554, "5.7.1 relay access denied"),
    recipient(550, "relay not permitted"),
    recipient(554, "service unavailable; client host [192.0.2.1] blocked using a list"),
    recipient(550, "message looks like spam"),
    recipient(550, "sender verification failed"),
    recipient(552, "5.2.2 over quota"),
    recipient(552, "5.2.3 too large"),
    recipient(552, "5.3.4 too large"),
    recipient(550, "5.1.8 bad sender's domain"),
    recipient(530, "authentication required"),
    recipient(503, "bad sequence of commands"),
    recipient(451, "4.1.1 perhaps no such user"),
    smtplib.SMTPRecipientsRefused({ADDRESS: (550, b"5.1.1 no"), "b@example.com": (550, b"5.7.1 no")}),
    sender(550, "5.1.1 no such user"),
    data(550, "no such user"),
    data(554, "5.6.0 content refused"),
    data(550, "5.1.0 address rejected"),
    data(550, "5.7.1 looks like spam"),
    provider(400),
    provider(400, "[]"),
    provider(400, '{"errors": "none"}'),
    provider(400, "no JSON"),
    provider(413, '{"message": "\'to\' parameter is not a valid address"}'),
    sendgrid_400("from.email"),
    sendgrid_400("personalizations.0.subject"),
    sendgrid_400("personalizations.0.to.0.email", "The to email parameter is required."),
    sendgrid_400("personalizations.0.to.0", "Invalid type. Expected: object, given: string."),
    mailgun_400("'from' parameter is not a valid address. please check documentation"),
    mailgun_400("to parameter is missing"),
    AnymailRecipientsRefused(),
    AnymailInvalidAddress("Cannot encode 'x..y' using IDNA_ENCODER='idna2008'"),
    AnymailInvalidAddress("Invalid email address 'x' in `from_email` parsed from 'x'"),
]


@pytest.mark.parametrize("error", TEMPORARY, ids=name)
def test_what_may_pass_later_is_temporary(error: Exception) -> None:
    assert judge(error).kind is Kind.TEMPORARY


@pytest.mark.parametrize("error", SERVER, ids=name)
def test_what_an_operator_sets_right_is_about_the_server(error: Exception) -> None:
    assert judge(error).kind is Kind.SERVER


@pytest.mark.parametrize("error", REFUSED, ids=name)
def test_what_is_final_for_the_email_is_refused(error: Exception) -> None:
    assert judge(error).kind is Kind.REFUSED


@pytest.mark.parametrize("error", OURS, ids=name)
def test_anything_else_is_a_bug_of_ours(error: Exception) -> None:
    assert judge(error).kind is Kind.OURS


@pytest.mark.parametrize("error", BARRING, ids=name)
def test_an_answer_about_the_mailbox_bars_the_address(error: Exception) -> None:
    judgement = judge(error)

    assert (judgement.kind, judgement.bars_address) == (Kind.REFUSED, True)


@pytest.mark.parametrize("error", [*NOT_BARRING, *TEMPORARY, *SERVER, *OURS], ids=name)
def test_any_other_answer_does_not_bar_the_address(error: Exception) -> None:
    assert judge(error).bars_address is False
