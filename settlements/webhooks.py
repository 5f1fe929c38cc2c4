"""The addresses at which SendGrid and Mailgun report what became of e-mails.

They are anymail's own views, behind a guard: without a key that proves who speaks, anybody could bar
anybody's address, so nothing is read then (403). What is not signed as it should be or makes no sense is
answered with 400, and errors of ours with 500, upon which providers report again.

    ========  ===========================  =====================================================
    provider  address                      proof, in ANYMAIL
    ========  ===========================  =====================================================
    SendGrid  /anymail/sendgrid/tracking/  SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY (signature),
                                           or WEBHOOK_SECRET (user:password), or both
    Mailgun   /anymail/mailgun/tracking/   MAILGUN_WEBHOOK_SIGNING_KEY, or else MAILGUN_API_KEY,
                                           which signs on old accounts; WEBHOOK_SECRET besides
    ========  ===========================  =====================================================
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from anymail.exceptions import AnymailWebhookValidationFailure
from anymail.utils import get_anymail_setting
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from anymail.webhooks.sendgrid import SendGridTrackingWebhookView
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from jobqueue.api.streamed import LengthRequired, give_length

logger = logging.getLogger("settlements.webhooks")
_LARGEST_REPORT = 2_621_440
"""Bytes, where the project sets no limit."""

View = Callable[..., HttpResponse]


class _BadReport(Exception):
    """The request is no report of the provider's. The text quotes nothing of it."""


class _Careful:
    """For anymail's views: whatever they stumble over in a request is the fault of the request."""

    def run_validators(self, request: HttpRequest) -> None:
        """Check the signature."""
        try:
            super().run_validators(request)
        except AnymailWebhookValidationFailure as error:
            raise _BadReport(str(error.args[0])) from None
        except RequestDataTooBig:
            raise
        except Exception as error:
            raise _BadReport(f"its signature cannot be read ({type(error).__name__})") from None

    def parse_events(self, request: HttpRequest) -> list[Any]:
        """The events in the request."""
        try:
            return list(super().parse_events(request))
        except RequestDataTooBig:
            raise
        except Exception as error:
            raise _BadReport(f"its body cannot be read ({type(error).__name__})") from None


class _SendGrid(_Careful, SendGridTrackingWebhookView):
    """Reports of SendGrid: lists of events."""

    def parse_events(self, request: HttpRequest) -> list[Any]:
        """The events in the request."""
        if not request.body.lstrip().startswith(b"["):
            raise _BadReport("its body is no list")
        return super().parse_events(request)


class _Mailgun(_Careful, MailgunTrackingWebhookView):
    """Reports of Mailgun, in the form it has had since 2018.

    The older one knows no difference between "not now" and "never".
    """

    def run_validators(self, request: HttpRequest) -> None:
        """Check the form and the signature."""
        if request.content_type != "application/json":
            raise _BadReport("it is no JSON; set up Mailgun's webhooks, not its legacy webhooks")
        super().run_validators(request)


# Proof ----------------------------------------------------------------------------------------------


def _lack_of_sendgrid() -> str:
    """What keeps us from knowing who speaks, or nothing."""
    name: Final = "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY"
    key = get_anymail_setting(
        "tracking_webhook_verification_key", esp_name="SendGrid", default=None, allow_bare=True
    )
    if key:
        return "" if _is_verification_key(key) else f"{name} is no public key as SendGrid shows it"
    return _lack_of_secret(f"neither {name} nor WEBHOOK_SECRET is set in ANYMAIL")


def _is_verification_key(key: object) -> bool:
    try:
        pem = f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----"  # as anymail wraps it
        return isinstance(load_pem_public_key(pem.encode()), EllipticCurvePublicKey)
    except Exception:  # the library is not particular about what it raises
        return False


def _lack_of_secret(without: str) -> str:
    secrets = get_anymail_setting("webhook_secret", default=None)
    secrets = [secrets] if isinstance(secrets, str) else secrets
    if not secrets:
        return without
    if all(isinstance(secret, str) and len(secret) > 1 and ":" in secret for secret in secrets):
        return ""
    return "WEBHOOK_SECRET must be user:password, or a list of such"


def _lack_of_mailgun() -> str:
    """The same; anymail itself falls back to the API key, an empty signing key would accept everybody."""
    api_key = get_anymail_setting("api_key", esp_name="Mailgun", default=None, allow_bare=True)
    key = get_anymail_setting("webhook_signing_key", esp_name="Mailgun", default=api_key)
    if not key:
        return "neither MAILGUN_WEBHOOK_SIGNING_KEY nor MAILGUN_API_KEY is set in ANYMAIL"
    if not isinstance(key, str) or not key.isascii() or not key.strip():
        return "MAILGUN_WEBHOOK_SIGNING_KEY is no text of ASCII characters"
    return ""


# Views ----------------------------------------------------------------------------------------------


def _guarded(view_class: type[Any], lack: Callable[[], str]) -> View:
    """Anymail's view, if we can know who speaks. Settings are read for each request, by both."""
    provider = view_class.esp_name
    report = view_class.as_view()

    @csrf_exempt
    @require_http_methods(["HEAD", "POST"])
    def view(request: HttpRequest) -> HttpResponse:
        if missing := lack():
            logger.warning("refused a webhook of %s: %s", provider, missing)
            return HttpResponse(status=403)
        try:
            give_length(request, settings.DATA_UPLOAD_MAX_MEMORY_SIZE or _LARGEST_REPORT)
            return report(request)  # type: ignore[no-any-return]
        except LengthRequired:
            return HttpResponse(status=411)
        except _BadReport as error:
            logger.warning("refused a webhook of %s: %s", provider, error)
            return HttpResponse(status=400)
        except RequestDataTooBig:
            logger.warning("refused a webhook of %s: larger than DATA_UPLOAD_MAX_MEMORY_SIZE", provider)
            return HttpResponse(status=413)

    return view


urlpatterns = [
    path("sendgrid/tracking/", _guarded(_SendGrid, _lack_of_sendgrid), name="sendgrid_tracking_webhook"),
    path("mailgun/tracking/", _guarded(_Mailgun, _lack_of_mailgun), name="mailgun_tracking_webhook"),
]
