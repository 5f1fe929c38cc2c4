"""Payment gateways: who knows how a payment stands.

A gateway is any object with `status_of(payment) -> GatewayAnswer`. `GATEWAY` in the settings
names its class and `GATEWAY_OPTIONS` what it is called with. `DatabaseGateway`, the default,
trusts our own row; `HttpGateway` asks a provider::

    GET {base_url}/payments/{id}            -> 200 {"status": "completed", "reason": ""}
    Authorization: Bearer {token}
    Idempotency-Key: payment-status-{id}    the same on every attempt

What the provider does becomes one of three outcomes:

    =====================================================  ========================================
    200 with a known status; 404                           a `GatewayAnswer` (404: `unknown`)
    no connection, no answer in time, 5xx, 408, 425, 429,  `GatewayUnavailable`, a `GatewayError`:
    a redirect, an answer that makes no sense              ask again, not before `retry_after`
    any other 4xx                                          `GatewayRefused`: asking again is no use
    200 with another id, amount or currency than our row   `GatewayContradiction`, a `GatewayRefused`
    =====================================================  ========================================

An answer may hold what it is about, and is then compared with our row, whatever its status::

    "id"        a text: our id, in small or capital letters
    "amount"    a number, or a text that is one: as much as our amount, so 12.5 is "12.50"
    "currency"  a text: our currency's code, in small or capital letters

What is absent or null is not compared. A value of another kind, such as an id that is a number or an
amount that is NaN or "12,50 EUR", makes no sense; but one field that differs outweighs that.

The token is in no error text and in no log, even if the provider's answer repeats it.
"""

from __future__ import annotations

import json
import math
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from settlements.conf import get_settings
from settlements.deadline import DeadlineTransport, within
from settlements.exceptions import GatewayContradiction, GatewayError, GatewayRefused
from settlements.gateway_options import check_base_url, check_timeout, check_token
from settlements.models import Payment

UNKNOWN = "unknown"
"""The status of a payment that the gateway does not know."""

KNOWN_STATUSES = frozenset({*Payment.Status.values, UNKNOWN})
ANSWER_LIMIT = 64 * 1024
"""Most bytes of an answer that are read."""
REASON_LIMIT = 200
"""Most characters of a reason; `Payment.failure_reason` holds no more."""
LONGEST_RETRY_AFTER = timedelta(days=1)
"""A provider that asks for more is asked again after this: its slip must not silence a payment."""

_ASK_AGAIN = frozenset({408, 425, 429})
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_CURRENCY_CODE = re.compile(r"[A-Za-z]{3}")


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """How a payment stands: a value of `Payment.Status`, or `unknown`; and why, if the gateway says."""

    status: str
    reason: str = ""


class GatewayUnavailable(GatewayError):
    """The provider gave no usable answer now; `retry_after` is how long it asked us to wait, if it did."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PaymentGateway(Protocol):
    """What the settlement processors need of a payment provider."""

    def status_of(self, payment: Payment) -> GatewayAnswer:
        """How the payment stands. GatewayError: ask again later; GatewayRefused: do not."""
        ...


class DatabaseGateway:
    """Trusts our own row: somebody else, such as an import or the admin, writes the status."""

    def status_of(self, payment: Payment) -> GatewayAnswer:
        """The status and the reason that the payment already has."""
        return GatewayAnswer(payment.status, payment.failure_reason)


class HttpGateway:
    """Asks a payment provider over HTTP; keeps its connections and may be shared by threads.

    `connect_timeout` and `read_timeout` limit each wait, `total_timeout` the whole exchange from
    finding the address to the last byte of the answer, all in seconds: a provider that sends a byte
    now and then must not hold a worker.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 10.0,
        total_timeout: float = 20.0,
    ) -> None:
        self.check_options(
            base_url,
            token,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            total_timeout=total_timeout,
        )
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._total_timeout = total_timeout
        self._client = httpx.Client(
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a small answer must not unpack into a large one
            },
            timeout=httpx.Timeout(read_timeout, connect=connect_timeout),
            transport=DeadlineTransport(self.base_url),
            follow_redirects=False,
        )

    @staticmethod
    def check_options(
        base_url: str,
        token: str,
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 10.0,
        total_timeout: float = 20.0,
    ) -> None:
        """ValueError that names the option which cannot be used, and says what is allowed; no token in it."""
        check_base_url(base_url)
        check_token(token)
        check_timeout("connect_timeout", connect_timeout)
        check_timeout("read_timeout", read_timeout)
        check_timeout("total_timeout", total_timeout)

    def __repr__(self) -> str:
        return f"HttpGateway({self.base_url!r})"

    def status_of(self, payment: Payment) -> GatewayAnswer:
        """What the provider says about the payment."""
        response, body = self._get(
            f"{self.base_url}/payments/{quote(str(payment.pk), safe='')}",
            {"Idempotency-Key": f"payment-status-{payment.pk}"},
        )
        if response.status_code == 404:
            return GatewayAnswer(UNKNOWN)
        self._raise_for(response)
        answer = self._read_object(body)
        self._check_subject(answer, payment)
        return self._read_answer(answer)

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def _get(self, url: str, headers: dict[str, str]) -> tuple[httpx.Response, bytes]:
        with within(self._total_timeout) as deadline:
            try:
                with self._client.stream("GET", url, headers=headers) as response:
                    return response, self._read_body(response)
            except httpx.TimeoutException as error:
                if deadline.passed:
                    complaint = f"did not complete its answer within {self._total_timeout:g} s"
                else:
                    complaint = f"did not answer in time ({type(error).__name__})"
                raise GatewayUnavailable(f"{self._name} {complaint}") from None
            except httpx.HTTPError as error:
                raise GatewayUnavailable(
                    f"{self._name} cannot be reached: {self._clean(str(error))}"
                ) from None

    def _read_body(self, response: httpx.Response) -> bytes:
        """The body of a good answer. That of any other is of no use and not waited for."""
        if response.status_code != 200:
            return b""
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > ANSWER_LIMIT:
                raise GatewayUnavailable(f"{self._name} answered with more than {ANSWER_LIMIT} bytes")
        return bytes(body)

    def _raise_for(self, response: httpx.Response) -> None:
        code = response.status_code
        if code == 200:
            return
        if code in _ASK_AGAIN or code >= 500:
            raise GatewayUnavailable(
                f"{self._name} answered {code}", _retry_after(response.headers.get("Retry-After", ""))
            )
        if code >= 400:
            raise GatewayRefused(f"{self._name} refused the question with {code}")
        if code >= 300:
            raise GatewayUnavailable(f"{self._name} answered {code}: redirects are not followed")
        raise GatewayUnavailable(f"{self._name} answered {code} where 200 was expected")

    def _read_object(self, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body, parse_float=_exact_number)
        except (ValueError, RecursionError):
            raise GatewayUnavailable(f"{self._name} answered with something that is no JSON") from None
        if not isinstance(answer, dict):
            raise GatewayUnavailable(f"{self._name} answered with JSON that is no object")
        return answer

    def _check_subject(self, answer: dict[str, Any], payment: Payment) -> None:
        """Refuse an answer about something else than this payment: its status says nothing about ours."""
        different: list[str] = []
        senseless: list[str] = []
        for name, is_ours in _SUBJECT.items():
            if answer.get(name) is None:
                continue
            try:
                if not is_ours(answer[name], payment):
                    different.append(name)
            except ValueError as error:
                senseless.append(str(error))
        if different:
            named = ", ".join(self._shown(name, answer[name]) for name in different)
            raise GatewayContradiction(
                f"{self._name} contradicts our row of payment {payment.pk} in: {named}", tuple(different)
            )
        if senseless:
            raise GatewayUnavailable(f"{self._name} answered with {', '.join(senseless)}")

    def _shown(self, name: str, value: Any) -> str:
        """The field, with what it held if that is harmless: an amount, a name or a token is not."""
        text = self._clean(value) if isinstance(value, str) else ""
        harmless = (name == "id" and _is_uuid(text)) or (
            name == "currency" and _CURRENCY_CODE.fullmatch(text) is not None
        )
        return f"{name} ({text})" if harmless else name

    def _read_answer(self, answer: dict[str, Any]) -> GatewayAnswer:
        status, reason = answer.get("status"), answer.get("reason")
        if not isinstance(status, str) or status not in KNOWN_STATUSES:
            given = repr(self._clean(status, 50)) if isinstance(status, str) else "that is no text"
            raise GatewayUnavailable(
                f"{self._name} answered with a status {given}; known are: {', '.join(sorted(KNOWN_STATUSES))}"
            )
        if not isinstance(reason, str | None):
            raise GatewayUnavailable(f"{self._name} answered with a reason that is no text")
        return GatewayAnswer(status, self._clean(reason or ""))

    @property
    def _name(self) -> str:
        return f"the payment gateway at {self.base_url}"

    def _clean(self, text: str, limit: int = REASON_LIMIT) -> str:
        """Somebody else's text, fit to be stored and shown: without our token, on one line, short."""
        text = " ".join(text.replace(self._token, "[token]").split())
        return "".join(character for character in text if character.isprintable())[:limit]


def _exact_number(text: str) -> Decimal | float:
    """A JSON number with a fraction or an exponent; infinite if its exponent is beyond all sense."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return math.inf


def _is_our_id(value: Any, payment: Payment) -> bool:
    if not isinstance(value, str):
        raise ValueError("an id that is no text")
    return value.lower() == str(payment.pk).lower()


def _is_our_amount(value: Any, payment: Payment) -> bool:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = _exact_number(value)
    # What is a float now is infinite or NaN; and a bool is an int to Python, but True is no amount.
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("an amount that is no number")
    return bool(value == payment.amount.amount)


def _is_our_currency(value: Any, payment: Payment) -> bool:
    if not isinstance(value, str):
        raise ValueError("a currency that is no text")
    return value.lower() == str(payment.amount.currency).lower()


_SUBJECT: dict[str, Callable[[Any, Payment], bool]] = {
    "id": _is_our_id,
    "amount": _is_our_amount,
    "currency": _is_our_currency,
}
"""What an answer may say it is about: whether that is the payment. ValueError: it makes no sense."""


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def get_gateway() -> PaymentGateway:
    """The gateway that the settings name, one for each process."""
    # By process id: connections that a forked child inherited belong to its parent.
    return _gateway_of_process(os.getpid())


@lru_cache(maxsize=1)
def _gateway_of_process(process_id: int) -> PaymentGateway:
    settings = get_settings()
    try:
        gateway_class: Callable[..., PaymentGateway] = import_string(settings.gateway)
    except ImportError as error:
        raise ImproperlyConfigured(f"SETTLEMENTS GATEWAY cannot be imported: {error}") from None
    try:
        gateway = gateway_class(**settings.gateway_options)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"SETTLEMENTS GATEWAY_OPTIONS do not suit {settings.gateway}: {error}"
        ) from None
    if not callable(getattr(gateway, "status_of", None)):
        raise ImproperlyConfigured(
            f"SETTLEMENTS GATEWAY names {settings.gateway}, which has no method status_of(payment)"
        )
    return gateway


def _retry_after(header: str) -> timedelta | None:
    """How long the header asks us to wait, whether it gives seconds or a date; None if it says nothing."""
    if header.strip().isdecimal():
        seconds = float(header)
    else:
        try:
            moment = parsedate_to_datetime(header)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None  # no date; the parser is not particular about what it raises
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_RETRY_AFTER.total_seconds()))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "SETTLEMENTS":
        _gateway_of_process.cache_clear()


setting_changed.connect(_forget, dispatch_uid="settlements.gateways")
