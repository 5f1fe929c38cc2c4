"""Errors as mail servers and providers give them."""

from __future__ import annotations

import smtplib

import requests
from anymail.exceptions import (
    AnymailRequestsAPIError,
)

ADDRESS = "pia@example.com"


def recipient(code: int, answer: str) -> smtplib.SMTPRecipientsRefused:
    return smtplib.SMTPRecipientsRefused({ADDRESS: (code, answer.encode())})


def data(code: int, answer: str) -> smtplib.SMTPDataError:
    return smtplib.SMTPDataError(code, answer.encode())


def sender(code: int, answer: str) -> smtplib.SMTPSenderRefused:
    return smtplib.SMTPSenderRefused(code, answer.encode(), "noreply@example.com")


def provider(code: int, json: str = "{}", **headers: str) -> AnymailRequestsAPIError:
    """What anymail raises for a provider's answer."""
    response = requests.Response()
    response.status_code, response.reason, response._content = code, "as told", json.encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return AnymailRequestsAPIError(response=response)


def no_answer(error: requests.RequestException) -> Exception:
    """What anymail raises where there is no answer: both its own error and that of requests."""
    both = type("AnymailRequestsAPIError", (AnymailRequestsAPIError, type(error)), {})
    try:
        raise both("Error posting to https://api.example/v3/mail/send:") from error
    except AnymailRequestsAPIError as raised:
        return raised


def mailgun_400(message: str) -> Exception:
    return provider(400, f'{{"message": "{message}"}}')


def name(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(map(str, error.args))}"[:60]
