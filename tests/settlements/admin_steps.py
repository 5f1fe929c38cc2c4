"""What the tests of the domain's admin do again and again: open a page, fill its form in, give reasons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from jobqueue.models import Job
from settlements.models import Payment, Settlement

SETTLEMENTS = "/admin/settlements/settlement/"
PAYMENTS = "/admin/settlements/payment/"
EMAILS = "/admin/settlements/emaildelivery/"
REMINDERS = "/admin/settlements/reminderdelivery/"
DISCREPANCIES = "/admin/settlements/discrepancy/"
ADDRESSES = "/admin/settlements/barredaddress/"
USERS = "/admin/auth/user/"
LISTS = {Settlement: SETTLEMENTS, Payment: PAYMENTS}
EVIL = "<script>alert(1)</script>"


def page_of(record: Any) -> str:
    """The address of a record's page."""
    options = record._meta
    return f"/admin/{options.app_label}/{options.model_name}/{record.pk}/change/"


# Forms, as a browser has them ---------------------------------------------------------------------


class _Fields(HTMLParser):
    """What a browser would send of the forms of a page, by form id."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self._form: dict[str, str] = {}
        self._select = ""
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        name, kind = has.get("name") or "", has.get("type") or "text"
        if tag == "form":
            self._form = self.forms.setdefault(has.get("id") or "", {})
        elif tag == "select":
            self._select = name
        elif tag == "textarea":
            self._textarea, self._form[name] = name, ""
        elif tag == "option" and self._select and ("selected" in has or self._select not in self._form):
            self._form[self._select] = has.get("value") or ""
        elif tag == "input" and name and "disabled" not in has:
            if kind in ("checkbox", "radio") and "checked" not in has or kind in ("submit", "image"):
                return
            self._form[name] = has.get("value") or ("on" if kind == "checkbox" else "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = None

    def handle_data(self, data: str) -> None:
        if self._textarea is not None:
            self._form[self._textarea] += data.removeprefix("\n")


@dataclass
class Form:
    """The form of a page that somebody has open."""

    client: Client
    url: str
    fields: dict[str, str]

    def save(self, **entered: Any) -> HttpResponse:
        """Send what the page showed, with this entered; `None` takes a field out."""
        data = {**self.fields, **entered}
        return self.client.post(self.url, {name: text for name, text in data.items() if text is not None})

    def shown_again(self, response: HttpResponse) -> Form:
        """The form of the page that came back."""
        assert response.status_code == 200
        return Form(self.client, self.url, fields_of(response, _form_id(self.url)))


def fields_of(response: HttpResponse, form_id: str) -> dict[str, str]:
    """What a browser would send of a form of the page."""
    parser = _Fields()
    parser.feed(response.content.decode())
    fields = parser.forms[form_id]
    return {name: text for name, text in fields.items() if "__prefix__" not in name}


def opened(client: Client, record: Any) -> Form:
    """The form of a record's page, opened now."""
    url = page_of(record)
    return Form(client, url, fields_of(client.get(url), _form_id(url)))


def _form_id(url: str) -> str:
    return f"{url.split('/')[3]}_form"


def saved(response: HttpResponse) -> None:
    """The form was taken."""
    assert response.status_code == 302, response.context["errors"]


def errors_of(response: HttpResponse) -> str:
    """Everything the form that came back finds wrong, as it is read."""
    assert response.status_code == 200, "it was saved"
    found = response.context["errors"]
    lines = [[errors] if isinstance(errors, str) else errors for errors in found]
    text = unescape(" ".join(str(error) for errors in lines for error in errors))
    assert text
    return text


def new_settlement(payer: User, payee: User, **entered: Any) -> dict[str, Any]:
    """The form of a new settlement, filled in."""
    due = timezone.now() + timedelta(days=10)
    return {
        "description": "Dinner in Lisbon",
        "payer": payer.pk,
        "payee": payee.pk,
        "amount_0": "84.50",
        "amount_1": "EUR",
        "due_date_0": f"{due:%Y-%m-%d}",
        "due_date_1": f"{due:%H:%M:%S}",
        "status": "pending",
        "history": "unknown",
        "payments-TOTAL_FORMS": "0",
        "payments-INITIAL_FORMS": "0",
    } | entered


def new_payment(index: int = 0, **entered: Any) -> dict[str, Any]:
    """A row of a new payment on the page of its settlement, filled in."""
    values = {"amount_0": "84.50", "amount_1": "EUR", "status": "pending", "failure_reason": ""} | entered
    row = {f"payments-{index}-{name}": value for name, value in values.items()}
    return {"payments-TOTAL_FORMS": str(index + 1), **row}


# Actions ------------------------------------------------------------------------------------------


def ask(client: Client, action: str, *records: Any, url: str = "", **fields: Any) -> HttpResponse:
    """Choose an action for these records in their list."""
    data = {"action": action, "_selected_action": [str(one.pk) for one in records], "index": "0", **fields}
    return client.post(url or page_of(records[0]).removesuffix(f"{records[0].pk}/change/"), data)


def give_reason(
    client: Client, action: str, *records: Any, reason: str = "by agreement", **fields: Any
) -> HttpResponse:
    """Answer the question about these records; the page that comes next."""
    data = {
        "action": action,
        "confirmed": action,
        "_selected_action": [str(one.pk) for one in records],
        "reason": reason,
        **fields,
    }
    url = page_of(records[0]).removesuffix(f"{records[0].pk}/change/")
    return client.post(url, data, follow=True)


def said(response: HttpResponse) -> list[str]:
    """The messages on the page."""
    return [str(message) for message in response.context["messages"]]


def history_of(record: Any) -> list[str]:
    """What operators did to the record, oldest first."""
    rows = LogEntry.objects.filter(object_id=str(record.pk)).order_by("pk")
    return [row.get_change_message() for row in rows]


def buttons_of(response: HttpResponse) -> list[str]:
    """The actions that the page of a record offers."""
    return [move.name for move in response.context["moves"]]


def processors_of(settlement: Settlement) -> set[str]:
    """The processors of the jobs about a settlement that are not finished."""
    return set(Job.objects.about(settlement).unfinished().values_list("processor", flat=True))


def panel(client: Client, person: User) -> str:
    """What the page of the user says of the letters, but for the way to all of them."""
    response = client.get(f"{USERS}{person.pk}/change/")
    text = response.content.decode()
    return text.partition('class="jq-letters"')[2].partition('<a href="../letters/"')[0]
