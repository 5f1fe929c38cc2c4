"""E-mails from a template type and a few values: check, render, send. No rows, no jobs, no retries."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import css_inline
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.template import Context, Engine
from moneyed import Money

from settlements.exceptions import CurrencyMismatch, InvalidEmailAddress, SettlementError, UnknownTemplateType
from settlements.models import Payment, Settlement

TEMPLATE_TYPES: Final = (
    "reminder_initial",
    "reminder_follow_up",
    "reminder_final",
    "reminder_overdue",
    "settlement_created",
    "settlement_updated",
    "settlement_completed",
    "settlement_cancelled",
    "settlement_reopened",
    "payment_received",
    "payment_failed",
    "payment_refunded",
)
"""Every e-mail there is; each has `templates/email/<type>.subject.txt`, `.lead.txt`, `.txt` and `.html`."""

VALUES: Final = (
    "amount",
    "currency",
    "due_date",
    "description",
    "status",
    "payer_name",
    "payee_name",
    "recipient_name",
    "recipient_role",
    "remaining",
    "payment_amount",
    "failure_reason",
    "settlement_url",
)
"""What templates may show. Each may be missing; a sentence then does without. The role is payer or payee."""

LONGEST_ADDRESS: Final = 254

_PAYER: Final = "payer"
_PAYEE: Final = "payee"

Row = TypeVar("Row", bound=Model)


class EmailNotSent(SettlementError):
    """The mail backend did not take the e-mail. The text names no address, so it may be logged."""


@dataclass(frozen=True, slots=True)
class RenderedEmail:
    """An e-mail ready to be sent to anybody."""

    subject: str
    text: str
    html: str


def check_template_type(name: str) -> str:
    """`name` if there are templates of that type, else UnknownTemplateType."""
    if name not in TEMPLATE_TYPES:
        raise UnknownTemplateType(
            f"there is no e-mail template type {name!r}; allowed are: {', '.join(TEMPLATE_TYPES)}"
        )
    return name


def check_address(text: str) -> str:
    """`text` if it is one plain e-mail address, else InvalidEmailAddress.

    The error does not repeat the text: errors end in logs, and addresses must not.
    """
    if not isinstance(text, str):
        raise InvalidEmailAddress(
            f"an e-mail address is text, such as name@example.com, not {type(text).__name__}"
        )
    if "\r" in text or "\n" in text:
        raise InvalidEmailAddress("the e-mail address contains a line break; allowed is name@example.com")
    if len(text) > LONGEST_ADDRESS:
        raise InvalidEmailAddress(
            f"the e-mail address has {len(text)} characters; allowed are at most {LONGEST_ADDRESS}"
        )
    try:
        validate_email(text)
    except ValidationError:
        raise InvalidEmailAddress(
            f"the text of {len(text)} characters is no e-mail address; "
            "allowed is one address without a display name, such as name@example.com"
        ) from None
    return text


# Rendering --------------------------------------------------------------------------------------


def render(
    template_type: str, subject: str, template_data: Mapping[str, Any], *, using: str = "default"
) -> RenderedEmail:
    """The e-mail of that type in the active language and time zone.

    `template_data` holds what the templates show (`VALUES`). With `settlement_id`, `payment_id` or
    `user_id` in it the rest is looked up in the database `using`; given values win. A `subject` that is
    not blank replaces the template's.
    """
    check_template_type(template_type)
    context = _context(template_data, using) | {"lead_template": f"email/{template_type}.lead.txt"}
    subject_line = " ".join(subject.split()) or _render_text(f"email/{template_type}.subject.txt", context)
    context["subject_line"] = " ".join(subject_line.split())
    text = _render_text(f"email/{template_type}.txt", context)
    html = _render_template(f"email/{template_type}.html", context, autoescape=True)
    for value in context.values():
        if isinstance(value, _Later):
            value.check()
    return RenderedEmail(context["subject_line"], text, _inliner.inline(html))


# Rules that cannot be inlined (dark mode, narrow screens) stay behind in the style block.
_inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


def _render_template(name: str, context: dict[str, Any], *, autoescape: bool) -> str:
    template = Engine.get_default().get_template(name)
    return str(template.render(Context(context, autoescape=autoescape)))


def _render_text(name: str, context: dict[str, Any]) -> str:
    """A plain text template, tidied: no blanks at line ends, never two blank lines in a row."""
    text = _render_template(name, context, autoescape=False)
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"


def _context(template_data: Mapping[str, Any], using: str) -> dict[str, Any]:
    given = {name: value for name, value in template_data.items() if value is not None}
    payment = _find(_payments(using), given["payment_id"]) if "payment_id" in given else None
    settlement = _find(_settlements(using), given["settlement_id"]) if "settlement_id" in given else None
    if settlement is None and payment is not None:
        settlement = payment.settlement
    recipient = _recipient(settlement, given.get("user_id"), using)

    context: dict[str, Any] = dict.fromkeys(VALUES)
    if settlement is not None:
        context |= _settlement_facts(settlement, recipient)
    if payment is not None:
        context |= {"payment_amount": payment.amount, "failure_reason": payment.failure_reason}
    if recipient is not None:
        context["recipient_name"] = _name_of(recipient)
    context |= given
    context["settlement_url"] = _web_address(context.get("settlement_url"))
    return context


class _Later:
    """A value that is asked for by the templates that show it, once.

    Conditions in templates take an error for false; `check` raises it after all.
    """

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._answers: list[Any] = []
        self._error: Exception | None = None

    def __call__(self) -> Any:
        if not self._answers:
            try:
                self._answers.append(self._ask())
            except Exception as error:
                self._error = error
                raise
        return self._answers[0]

    def check(self) -> None:
        """Raise what the question raised."""
        if self._error is not None:
            raise self._error


@lru_cache(maxsize=16)
def _payments(using: str) -> "QuerySet[Payment]":
    # Made once, not for each e-mail; every use filters a copy of it.
    return Payment.objects.using(using).select_related("settlement__payer", "settlement__payee")


@lru_cache(maxsize=16)
def _settlements(using: str) -> "QuerySet[Settlement]":
    completed = Payment.objects.filter(settlement=OuterRef("pk"), status=Payment.Status.COMPLETED)
    settlements = Settlement.objects.using(using).select_related("payer", "payee")
    # Most e-mails are about settlements of which nothing was paid: they need not ask how much.
    return settlements.annotate(has_completed_payments=Exists(completed.order_by()))


def _recipient(settlement: Settlement | None, user_id: Any, using: str) -> Model | None:
    """The user of that primary key, who is nearly always one of the settlement's two."""
    for user in (settlement.payer, settlement.payee) if settlement is not None else ():
        if user.pk == user_id:
            return user
    return _find(get_user_model()._default_manager.using(using), user_id)


def _find(rows: "QuerySet[Row]", key: Any) -> Row | None:
    """The row with that primary key; None if it is gone, or if the key is none at all."""
    if key is None:
        return None
    try:
        return next(iter(rows.filter(pk=key).order_by()), None)
    except (ValueError, TypeError, OverflowError, ValidationError):
        return None


def _settlement_facts(settlement: Settlement, recipient: Model | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "amount": settlement.amount,
        "currency": str(settlement.amount.currency),
        "due_date": settlement.due_date,
        "description": settlement.description,
        "status": settlement.get_status_display(),
        "payer_name": _name_of(settlement.payer),
        "payee_name": _name_of(settlement.payee),
        "remaining": _Later(partial(_remaining, settlement)),
        "settlement_url": _settlement_url(settlement),
    }
    if recipient is not None:
        roles = {settlement.payer_id: _PAYER, settlement.payee_id: _PAYEE}
        facts["recipient_role"] = roles.get(recipient.pk)
    return facts


def _name_of(user: Any) -> str:
    return str(user.get_full_name() or user.get_username())


def _remaining(settlement: Settlement) -> Money | None:
    """What is still owed, never below nothing; None where payments in other currencies make it unknowable."""
    owed: Money = settlement.amount
    try:
        if getattr(settlement, "has_completed_payments", True):
            owed -= settlement.paid()
    except CurrencyMismatch:
        return None
    return owed if owed.amount > 0 else Money(0, owed.currency)


def _settlement_url(settlement: Settlement) -> str:
    site = str(getattr(settings, "SITE_URL", "")).rstrip("/")
    return f"{site}/settlements/{settlement.pk}/" if site else ""


def _web_address(link: Any) -> str:
    """`link` if it leads to a web page, else nothing: a button must not run a script."""
    try:
        return str(link) if urlsplit(str(link or "")).scheme in ("http", "https") else ""
    except ValueError:
        return ""


# Sending ----------------------------------------------------------------------------------------


def send(rendered: RenderedEmail, recipient: str, message_id: str) -> None:
    """Hand the e-mail to Django's mail backend under this Message-ID; the backend's errors pass through.

    How long a mail server may take to answer is Django's setting EMAIL_TIMEOUT.
    """
    message = EmailMultiAlternatives(
        subject=rendered.subject,
        body=rendered.text,
        to=[check_address(recipient)],
        # Auto-Submitted (RFC 3834) keeps out-of-office programs from answering.
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(rendered.html, "text/html")
    if message.send() == 0:
        raise EmailNotSent("the mail backend reported that it sent nothing")
