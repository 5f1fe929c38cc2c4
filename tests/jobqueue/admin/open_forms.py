"""Forms that somebody has open: sent as the page showed them, but for what is entered."""

from __future__ import annotations

from dataclasses import dataclass
from html import unescape
from typing import Any

from django.db import models
from django.http import HttpResponse
from django.test import Client

from jobqueue.admin import SHOWN, seal
from jobqueue.models import ProcessorLimits, Queue
from jobqueue.operating.limits import LIMITS, PROCESSOR_LIMITS
from tests.jobqueue.admin.sent_forms import SentForm, forms_on
from tests.jobqueue.admin.steps import text_of

PAUSE = "/admin/jobqueue/queue/pause/"


@dataclass
class OpenForm:
    """The form of a page, as it was when it was opened."""

    client: Client
    form: SentForm

    @property
    def fields(self) -> dict[str, str]:
        """What it shows."""
        return {name: texts[0] for name, texts in self.form.data.items()}

    def send(self, **entered: Any) -> HttpResponse:
        """Send it with this entered; the answer, or the page that it leads to."""
        data = {**self.form.data, **{name: [value] for name, value in entered.items()}}
        return self.client.post(self.form.url, data, follow=True)

    def again(self, **entered: Any) -> OpenForm:
        """Send it so that it comes back."""
        return opened_on(self.client, self.form.url, self.send(**entered))


def opened_on(client: Client, url: str, page: HttpResponse) -> OpenForm:
    """The form of this page that says what it shows."""
    [form] = [form for form in forms_on(url, text_of(page)) if SHOWN in form.data]
    if "for" in form.data:
        form.data["for"] = [""]  # the reader knows of no choice
    return OpenForm(client, form)


def opened(client: Client, url: str) -> OpenForm:
    """The form of this address, opened now."""
    return opened_on(client, url, client.get(url))


def opened_change_of_the_pause(client: Client) -> OpenForm:
    """The filled form of the pause that the queue email is in."""
    return opened_on(client, PAUSE, client.post(PAUSE, {"queue": "email", "change": "1"}))


def said_on(page: HttpResponse) -> str:
    """The page as it is read."""
    return unescape(text_of(page))


def shown_limits(model: type[models.Model], name: str) -> dict[str, str]:
    """What a form that is opened now sends along of the limits of this queue or processor."""
    names = LIMITS if model is Queue else PROCESSOR_LIMITS
    row = model._default_manager.filter(pk=name).first() or model(pk=name)
    assert isinstance(row, Queue | ProcessorLimits)
    return {SHOWN: seal(model, name, {field: getattr(row, field) for field in names})}
