"""What a mail backend's error says: whether to try again, when, and whether the mailbox is any good.

    =====================================================  ==========  =====================================
    what was raised                                        kind        what it means
    =====================================================  ==========  =====================================
    SMTP 4xx, a full mailbox, a connection that broke;     TEMPORARY   the same e-mail may pass later
    a provider's 408, 425, 429, 5xx, no answer in time
    no connection, TLS, login, wrong settings;             SERVER      an operator sets it right; the e-mail
    a provider's 401, 402, 403, 407, a wrong address                   is fine and is tried again
    SMTP 5xx; a provider's other 4xx                       REFUSED     final for this e-mail
    anything else                                          OURS        a bug of ours
    =====================================================  ==========  =====================================

Nothing is stored here and nobody is asked. Texts hold no e-mail address and no key, for they end in rows
and logs.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
)
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from jobqueue.jobs import has_address, mask_addresses


class Kind(StrEnum):
    """What to do about an e-mail that was not taken."""

    TEMPORARY = "temporary"
    """Try again: it may pass later."""
    SERVER = "server"
    """Try again, and tell an operator: the way out is barred, the e-mail is fine."""
    REFUSED = "refused"
    """Do not try again: this e-mail was refused for good."""
    OURS = "ours"
    """A bug of ours; it says nothing about the e-mail."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an error means for the e-mail and for its address."""

    kind: Kind
    text: str
    """One line without e-mail addresses and keys, of at most `LONGEST_TEXT` characters."""
    retry_after: timedelta | None = None
    """How long the provider asked us to wait, if it did and the e-mail is to be tried again."""
    bars_address: bool = False
    """Whether the answer says that the mailbox is no good, so that nothing more should go there."""


LONGEST_TEXT: Final = 500
LONGEST_RETRY_AFTER: Final = timedelta(days=1)
"""A provider that asks for more is asked again after this: its slip must not silence an e-mail."""

_Verdict: TypeAlias = tuple[Kind, bool]
_TEMPORARY: Final[_Verdict] = (Kind.TEMPORARY, False)
_SERVER: Final[_Verdict] = (Kind.SERVER, False)
_REFUSED: Final[_Verdict] = (Kind.REFUSED, False)
_BARRED: Final[_Verdict] = (Kind.REFUSED, True)
_OURS: Final[_Verdict] = (Kind.OURS, False)


def judge(error: Exception) -> Judgement:
    """What `error`, which the mail backend raised while it sent one e-mail, means."""
    kind, bars_address = _verdict(error)
    again = kind in (Kind.TEMPORARY, Kind.SERVER)
    return Judgement(kind, describe(error), _retry_after(error) if again else None, bars_address)


def _verdict(error: Exception) -> _Verdict:
    if isinstance(error, smtplib.SMTPException):
        return _of_smtp(error)
    if isinstance(error, AnymailError):
        return _of_provider(error)
    if isinstance(error, OSError):
        return _of_connection(error)
    if isinstance(error, ImproperlyConfigured | ImportError):
        return _SERVER  # EMAIL_BACKEND or a provider's key
    return _OURS


# SMTP (RFC 5321), and its enhanced status codes (RFC 3463) ------------------------------------------

_LOGIN_CODES: Final = frozenset({530, 534, 535, 538})
_COMMAND_CODES: Final = frozenset({500, 501, 502, 503, 504})
"""The server did not understand what it was told, which says nothing about a mailbox."""
_ENHANCED: Final = re.compile(r"(?:^\s*|[#(\[]\s*)([245]\.\d{1,3}\.\d{1,3})(?![.\d])")
_BAD_AT_DATA: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_ABOUT_THE_SENDER: Final = frozenset({"5.1.7", "5.1.8"})
_FULL: Final = re.compile(r"quota|mailbox\b.{0,20}\bfull\b|\bfull\b.{0,20}\bmailbox", re.IGNORECASE)
_NOT_THE_MAILBOX: Final = re.compile(
    r"relay|spam|block|black|\brbl|dnsbl|polic|reputation|denied|prohibit|authenti|authoriz|\bsender|\bspf\b"
    r"|dkim|dmarc|gr[ae]ylist|\btoo (?:large|big|many|much)|\bsize\b|\blimit|\brate\b|virus|\bhost\b|\bTLS\b",
    re.IGNORECASE,
)
"""Words of servers that refuse without an enhanced status code, and for another reason than the mailbox."""


def enhanced_status(answer: str) -> str:
    """The enhanced status code in a server's answer, such as "5.1.1", or nothing."""
    found = _ENHANCED.search(answer)
    return found[1] if found else ""


def says_no_such_mailbox(status: str) -> bool:
    """Whether an enhanced status code says that the recipient's mailbox is no good."""
    about_the_address = status.startswith("5.1.") and status not in _ABOUT_THE_SENDER
    return about_the_address or status in ("5.2.0", "5.2.1")


def blames_the_mailbox(answer: str) -> bool:
    """Whether a server that refused a recipient for good said so because of the recipient's mailbox.

    Without an enhanced status code that is what a refusal means, unless its words name another reason.
    """
    if status := enhanced_status(answer):
        return says_no_such_mailbox(status)
    words = _without_addresses(answer)
    return not (_NOT_THE_MAILBOX.search(words) or _FULL.search(words))


def _without_addresses(answer: str) -> str:
    """Its words: those of an address mean nothing. No answer is so long that it takes time to read."""
    return mask_addresses(answer[:_LONGEST_READ], "")


def _of_smtp(error: smtplib.SMTPException) -> _Verdict:
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return _TEMPORARY
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _of_recipients([(code, _text(answer)) for code, answer in error.recipients.values()])
    login_or_greeting = smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError | smtplib.SMTPHeloError
    if isinstance(error, smtplib.SMTPResponseException) and not isinstance(error, login_or_greeting):
        return _of_response(error)
    return _SERVER  # login, greeting, SMTPNotSupportedError and what smtplib says of login mechanisms


def _of_recipients(answers: list[tuple[int, str]]) -> _Verdict:
    """What is true of all of them; one of ours has one recipient."""
    verdicts = {_of_recipient(code, answer) for code, answer in answers}
    for verdict in (_SERVER, _TEMPORARY, _REFUSED, _BARRED):
        if verdict in verdicts:
            return verdict
    return _TEMPORARY


def _of_recipient(code: int, answer: str) -> _Verdict:
    verdict = _of_code(code, answer)
    # At this stage 552 without more is about the recipient's storage, at DATA it may be the e-mail's size.
    if code == 552 and not enhanced_status(answer):
        return _TEMPORARY
    blamed = verdict == _REFUSED and code not in _COMMAND_CODES and blames_the_mailbox(answer)
    return _BARRED if blamed else verdict


def _of_response(error: smtplib.SMTPResponseException) -> _Verdict:
    answer = _text(error.smtp_error)
    if isinstance(error, smtplib.SMTPDataError) and enhanced_status(answer) in _BAD_AT_DATA:
        return _BARRED if error.smtp_code >= 500 else _TEMPORARY
    if type(error) is smtplib.SMTPResponseException and error.smtp_code in _COMMAND_CODES:
        return _SERVER  # raised as such by smtplib for STARTTLS, ahead of any e-mail
    return _of_code(error.smtp_code, answer)


def _of_code(code: int, answer: str) -> _Verdict:
    if code in _LOGIN_CODES:
        return _SERVER
    if not 500 <= code <= 599:
        return _TEMPORARY  # 4xx, or an answer out of order
    status = enhanced_status(answer)
    full = status == "5.2.2" or (not status and _FULL.search(_without_addresses(answer)))
    return _TEMPORARY if full else _REFUSED


# Providers (HTTP) -----------------------------------------------------------------------------------

_ASK_AGAIN: Final = frozenset({408, 425, 429})
_ACCOUNT: Final = frozenset({401, 402, 403, 407})
_TO_FIELD: Final = re.compile(r"personalizations\.\d+\.to(?:\.\d+(?:\.email)?)?")  # SendGrid
_OUR_SLIP: Final = re.compile(r"\binvalid type\b|\bparameter is (?:required|missing)", re.IGNORECASE)
_TO_PARAMETER: Final = re.compile(r"(?:^|\W)to'? parameter\b", re.IGNORECASE)  # Mailgun


def _of_provider(error: AnymailError) -> _Verdict:
    if isinstance(error, AnymailInvalidAddress):
        return _BARRED if "in `to`" in _text_of(error) else _REFUSED
    if isinstance(error, AnymailRecipientsRefused):
        statuses = getattr(getattr(error.email_message, "anymail_status", None), "status", None)
        return _BARRED if statuses and set(statuses) <= {"invalid", "rejected"} else _REFUSED
    if not isinstance(error, AnymailAPIError):
        return _OURS
    if error.status_code is not None:
        return _of_status(error, error.status_code)
    return _of_connection(error) if isinstance(error, OSError) else _TEMPORARY


def _of_status(error: AnymailAPIError, code: int) -> _Verdict:
    if code in _ASK_AGAIN or code >= 500:
        return _TEMPORARY
    if code in _ACCOUNT or code < 400:
        return _SERVER  # below 400: some other service answers at that address
    answer = _json(error)
    if code == 404 and "domain not found" in str(answer.get("message", "")).lower():
        return _SERVER  # Mailgun does not know the domain that the settings name
    return _BARRED if code == 400 and _names_the_recipient(answer) else _REFUSED


def _names_the_recipient(answer: dict[str, Any]) -> bool:
    errors = answer.get("errors")
    for entry in errors if isinstance(errors, list) else ():
        if isinstance(entry, dict) and _TO_FIELD.fullmatch(str(entry.get("field"))):
            return not _OUR_SLIP.search(str(entry.get("message")))
    message = str(answer.get("message", ""))
    return bool(_TO_PARAMETER.search(message)) and not _OUR_SLIP.search(message)


def _json(error: AnymailError) -> dict[str, Any]:
    try:
        answer = error.response.json()
    except Exception:  # no response, no JSON, JSON nested too deeply
        return {}
    return answer if isinstance(answer, dict) else {}


# Connections ----------------------------------------------------------------------------------------


_BROKEN: Final = (
    requests.Timeout,
    requests.exceptions.RetryError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
)
_NO_WAY: Final = (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError)
_NOT_REACHED: Final = (NewConnectionError, ConnectTimeoutError)


def _of_connection(error: OSError) -> _Verdict:
    """SMTP wraps what breaks later in SMTPServerDisconnected, so a bare OSError is of connecting."""
    if isinstance(error, _NO_WAY):
        return _SERVER
    if isinstance(error, requests.ConnectionError):
        return _SERVER if any(isinstance(link, _NOT_REACHED) for link in _links(error)) else _TEMPORARY
    return _TEMPORARY if isinstance(error, _BROKEN) else _SERVER


def _links(error: BaseException) -> Iterator[BaseException]:
    """The error and those it was made of: urllib3 and requests keep theirs in `args` and `reason`."""
    found: list[object] = [error]
    seen: set[int] = set()
    while found:
        link = found.pop()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            found += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]


def _retry_after(error: Exception) -> timedelta | None:
    """How long the answer's Retry-After asks us to wait, in seconds or until a date."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    header = str(headers.get("Retry-After", "")).strip() if headers is not None else ""
    if re.fullmatch(r"[+-]?\d+(?:\.\d+)?", header):
        seconds = float(header)
    else:
        try:
            moment = parsedate_to_datetime(header)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None  # no date; the parser is not particular about what it raises
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (aware - datetime.now(UTC)).total_seconds()
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_RETRY_AFTER.total_seconds()))


# Texts ----------------------------------------------------------------------------------------------

_LONGEST_READ: Final = 10_000
_ANY_KEY: Final = re.compile(
    r"\bSG\.[\w-]+(?:\.[\w-]+)?|\bkey-[0-9a-f]{16,}|\b(?:Bearer|Basic)\s+[^\s'\"\\]+", re.IGNORECASE
)


# With two digits at its end: what looks like an amount, and no code, version, time or address of a host.
_ANY_AMOUNT: Final = re.compile(r"(?<![\d.,:-])\d{1,3}(?:[.,'\s]?\d{3})*[.,]\d{2}(?![.,:-]?\d)")


def describe(error: Exception) -> str:
    """What went wrong in one line, without e-mail addresses and keys: it is stored and logged."""
    text = _text_of(error)
    if isinstance(error, AnymailInvalidAddress):
        field = re.search(r"in `([\w\[\]'-]+)`", text)  # the rest is the address, which may lack its "@"
        text = f"no e-mail address in `{field[1]}`" if field else "no e-mail address"
    for secret in _secrets(error):
        text = text.replace(secret, "(key)")
    return plain_line(f"{type(error).__name__}: {text}")


def names_an_address(error: Exception) -> bool:
    """Whether the error, or one that it was made of, quotes an address or a key: it is not logged then."""
    secrets = list(_secrets(error))
    return any(
        has_address(text) or _ANY_KEY.search(text) or any(secret in text for secret in secrets)
        for link in _links(error)
        if (text := _text_of(link) if isinstance(link, Exception) else "")
    )


def plain_line(text: str) -> str:
    """Somebody else's text, fit to be stored and shown: one short line without addresses, keys, amounts."""
    if len(text) > _LONGEST_READ:
        text = text[:_LONGEST_READ].rpartition(" ")[0]  # no half address at the end
    text = _ANY_AMOUNT.sub("(amount)", mask_addresses(_ANY_KEY.sub("(key)", text)))
    line = " ".join(text.split())
    return "".join(character for character in line if character.isprintable())[:LONGEST_TEXT].rstrip()


def _text_of(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {_text(answer)}" for code, answer in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    try:
        return str(error)
    except Exception:  # anymail's errors fail at that where they lack a response
        return " ".join(map(str, error.args))


def _text(answer: bytes | str) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)


def _secrets(error: Exception) -> Iterator[str]:
    """The key or password that the e-mail was sent with: an error may quote its request."""
    backend = getattr(error, "backend", None) or getattr(getattr(error, "payload", None), "backend", None)
    for secret in (getattr(backend, "api_key", None), getattr(settings, "EMAIL_HOST_PASSWORD", "")):
        if isinstance(secret, str) and len(secret.strip()) > 3:
            yield secret.strip()
