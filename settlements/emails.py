"""E-mails from a template type and a few values: check, render, send. No rows, no jobs, no retries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import css_inline
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.template import Context, Engine
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.safestring import mark_safe
from moneyed import Money
from moneyed.classes import CurrencyDoesNotExist

from jobqueue.jobs import about_now
from settlements.exceptions import InvalidEmailAddress, SettlementError, UnknownTemplateType
from settlements.letters import LETTERS, is_by_former_payer
from settlements.models import Payment, Settlement
from settlements.reminders import current_policy, day_of
from settlements.rows import Question, Rows, read
from settlements.standing import Standing
from settlements.templatetags.settlement_format import to_decimal

TEMPLATE_TYPES: Final = tuple(LETTERS)
"""Every e-mail there is: `settlements.letters.LETTERS` says to whom and when each goes."""

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
    "is_open",
    "is_cancelled",
    "is_decided",
    "is_past_due",
    "is_due_today",
    "days_overdue",
    "overpaid",
    "payment_amount",
    "refunded_amount",
    "failure_reason",
    "settlement_url",
)
"""What templates may show. Each may be missing; a sentence then does without. The role is payer or payee."""

LONGEST_ADDRESS: Final = 254

_PAYER: Final = "payer"
_PAYEE: Final = "payee"


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
    template_type: str,
    subject: str,
    template_data: Mapping[str, Any],
    *,
    using: str = "default",
    rows: Rows | None = None,
    at: datetime | None = None,
) -> RenderedEmail:
    """The e-mail of that type in the active language; its days are those of REMINDER_TIME_ZONE.

    What it says of the due date (ahead, today, past for so many days) is so `at` the moment at which it
    leaves: now, unless another one is given.

    `template_data` holds what the templates show (`VALUES`). With `settlement_id`, `payment_id` or `user_id`
    in it the rest is what the `rows` say, which are read in the database `using` unless they are given; they
    win over any amount, date or name in `template_data`. A `subject` that is not blank replaces the
    template's.
    """
    check_template_type(template_type)
    if rows is None:
        rows = read(question_of(template_type, template_data), using)
    return render_values(
        template_type, subject, _context(template_type, template_data, rows, at or about_now())
    )


def render_values(template_type: str, subject: str, values: Mapping[str, Any]) -> RenderedEmail:
    """The e-mail that shows these `VALUES` and nothing else, with days of REMINDER_TIME_ZONE."""
    context: dict[str, Any] = {**dict.fromkeys(VALUES), **values}
    context |= _balance(context)
    name = f"email/{template_type}"
    with timezone.override(current_policy().time_zone):
        line = " ".join(subject.split()) or _render_template(f"{name}.subject.txt", context, autoescape=False)
        context["subject_line"] = " ".join(line.split())
        context["lead"] = _render_template(f"{name}.lead.txt", context, autoescape=False)
        text = _render_text(f"{name}.txt", context)
        context["lead"] = mark_safe(_render_template(f"{name}.lead.txt", context, autoescape=True))  # noqa: S308
        html = _render_template(f"{name}.html", context, autoescape=True)
    return RenderedEmail(context["subject_line"], text, _inliner.inline(html))


def _balance(values: Mapping[str, Any]) -> dict[str, Any]:
    """What templates ask of the balance, once for all of them: numbers may be money, numbers or text."""
    amount, remaining = values["amount"], values["remaining"]
    if _is_of_another_amount(remaining, amount):
        remaining = None
    left, total = to_decimal(remaining), to_decimal(amount)
    owed = total if remaining is None else left
    is_closed = bool(values["is_cancelled"]) or values["is_open"] is False
    return {
        "remaining": remaining,
        "nothing_remains": left == 0,
        "something_remains": bool(left),
        "is_part": bool(left) and total is not None and left != total,
        "is_settled": is_closed or owed == 0,
        "overpaid": values["overpaid"] if to_decimal(values["overpaid"]) else None,
        "refunded_amount": values["refunded_amount"] if to_decimal(values["refunded_amount"]) else None,
    }


def question_of(template_type: str, template_data: Mapping[str, Any], **more: Any) -> Question:
    """What the rows are to be asked for these values."""
    keys = {name: template_data.get(name) for name in ("user_id", "settlement_id", "payment_id")}
    return Question(template_type, **{**keys, **more})


def _is_of_another_amount(remaining: Any, amount: Any) -> bool:
    """What is left of a settlement says nothing of an amount that was given in its place."""
    currency = getattr(remaining, "currency", None)
    return bool(
        remaining and currency and amount is not None and getattr(amount, "currency", None) != currency
    )


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


def _context(
    template_type: str, template_data: Mapping[str, Any], rows: Rows, at: datetime
) -> dict[str, Any]:
    given = {name: value for name, value in template_data.items() if value is not None}
    context: dict[str, Any] = dict.fromkeys(VALUES) | given
    if rows.settlement is not None and rows.standing is not None:
        _say_currency_of_payment(context)
        context |= _known(_settlement_facts(rows.settlement, rows.standing, rows.person))
    if rows.payment is not None:
        context |= _known(_payment_facts(rows.payment))
    if rows.settlement is not None and _may_another_have_paid(template_type, rows.settlement, rows.payment):
        # Who paid is not in the rows, only that it need not be who owes it now.
        is_payer = context["recipient_role"] == _PAYER
        context |= {"payer_name": None, "recipient_role": None if is_payer else context["recipient_role"]}
    if rows.person is not None:
        context["recipient_name"] = _name_of(rows.person)
    context |= _when_due(context, at)
    context["settlement_url"] = _web_address(context.get("settlement_url"))
    return context


def _may_another_have_paid(template_type: str, settlement: Settlement, payment: Payment | None) -> bool:
    """Whether a letter that says who paid may be about the money of a former payer."""
    if payment is not None:
        return is_by_former_payer(payment, settlement)
    return template_type == "settlement_completed" and settlement.payer_since is not None


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    """Without blanks: a text that a row does not have may be given."""
    return {name: value for name, value in facts.items() if value != ""}


def _say_currency_of_payment(context: dict[str, Any]) -> None:
    """A given amount of a payment keeps the given currency, whatever the settlement's is."""
    try:
        if context["payment_amount"] is not None and context["currency"]:
            context["payment_amount"] = Money(context["payment_amount"], context["currency"])
    except (ArithmeticError, ValueError, TypeError, CurrencyDoesNotExist):
        pass  # shown as it stands


def _settlement_facts(settlement: Settlement, standing: Standing, person: Any) -> dict[str, Any]:
    currency = settlement.amount.currency
    # Not what the row says: its status follows the payments a moment later.
    status = Settlement.Status(standing.status)
    is_open = status in Settlement.OPEN
    facts: dict[str, Any] = {
        "amount": settlement.amount,
        "currency": str(currency),
        "due_date": settlement.due_date,
        "description": settlement.description,
        "status": status.label,
        "is_open": is_open,
        "is_cancelled": status == Settlement.Status.CANCELLED,
        "is_decided": bool(settlement.decided_status) and standing.paid < settlement.amount.amount,
        "is_past_due": None,  # by its due date, whatever was given
        "payer_name": _name_of(settlement.payer),
        "payee_name": _name_of(settlement.payee),
        "remaining": Money(standing.open_amount, currency),
        "overpaid": Money(standing.overpaid, currency) if standing.overpaid else None,
        "settlement_url": _settlement_url(settlement),
    }
    if person is not None:
        roles = {settlement.payee_id: _PAYEE, settlement.payer_id: _PAYER}
        facts["recipient_role"] = roles.get(person.pk)
    return facts


def _payment_facts(payment: Payment) -> dict[str, Any]:
    return {
        "payment_amount": payment.amount,
        "refunded_amount": payment.refunded if payment.refunded_amount else None,
        "failure_reason": payment.failed_because,
    }


def _when_due(context: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """How the due date stands to the moment at which the letter leaves; a caller's own word on it counts."""
    days, is_past = _days_past(context["due_date"], at), context["is_past_due"]
    if is_past is None and days is not None:
        is_past = days > 0
    return {
        "is_past_due": is_past,
        "is_due_today": days == 0 and not is_past,
        "days_overdue": days if is_past and days is not None and days > 0 else None,
    }


def _days_past(due_date: Any, at: datetime) -> int | None:
    """For how many days its day, in the reminders' zone, is past; negative ahead of it, None for no date."""
    try:
        moment = parse_datetime(due_date) if isinstance(due_date, str) else due_date
    except ValueError:
        return None
    if not isinstance(moment, datetime):
        return None
    policy = current_policy()
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, policy.time_zone)
    return (day_of(at, policy) - day_of(moment, policy)).days


def _name_of(user: Any) -> str:
    return str(user.get_full_name() or user.get_username())


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


def send(rendered: RenderedEmail, recipient: str, message_id: str) -> str:
    """Hand the e-mail to Django's mail backend under this Message-ID; the backend's errors pass through.

    Returns what a mail provider calls it, empty over SMTP.

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
    # Providers give it back with what became of the e-mail; other backends do not look at it.
    message.metadata = {"message_id": message_id}  # type: ignore[attr-defined]
    if message.send() == 0:
        raise EmailNotSent("the mail backend reported that it sent nothing")
    status = getattr(message, "anymail_status", None)
    return str(getattr(status, "message_id", None) or "")
