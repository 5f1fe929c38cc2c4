"""Whatever a page says to people is marked for translation: no English is left inside a German frame."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from moneyed import Money

from settlements.models import Settlement
from tests.browser import scene
from tests.languages.data import data_of_pages, words_left
from tests.languages.pseudo import ShownTexts, every_text_marked

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]
WITH_ACTIONS = (
    "jobqueue_job",
    "jobqueue_queue",
    "settlements_settlement",
    "settlements_payment",
    "settlements_discrepancy",
    "settlements_barredaddress",
)


@pytest.fixture
def site(settlement: Settlement, payer: User, admin_client: Client) -> scene.Scene:
    """Something on every page."""
    return scene.build(settlement, payer)


@pytest.fixture(autouse=True)
def _amounts_in_no_words_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Money` as it writes itself leaves out digits that are owed (RSD 10.50): no page may show that."""
    for name in ("__str__", "__format__"):
        monkeypatch.setattr(Money, name, lambda *_: "an amount that writes itself")


class Reader:
    """Reads one page after the other, and says at the end what of them is neither marked nor data."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._read: dict[str, str] = {}
        self._data = data_of_pages()

    def get(self, name: str, address: str) -> None:
        """Read a page."""
        self._note(name, self._client.get(address))

    def post(self, name: str, address: str, said: dict[str, Any]) -> None:
        """Send a form, and read the page that it leads to."""
        self._note(name, self._client.post(address, said, follow=True))
        self._data |= data_of_pages()  # the next one may take away what this page shows

    def _note(self, name: str, answer: Any) -> None:
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            for text in ShownTexts(answer.content.decode()).unmarked:
                self._read.setdefault(text, name)

    def faults(self) -> list[str]:
        """Each text once, with the first page that says it."""
        data = self._data | data_of_pages()
        found = [(name, text, words_left(text, data)) for text, name in self._read.items()]
        return [f"{name}: {text!r} ({left})" for name, text, left in found if left]


def test_every_page(site: scene.Scene, admin_client: Client) -> None:
    reader = Reader(admin_client)
    with every_text_marked():
        for name, address in scene.pages_of(site).items():
            reader.get(name, address)
    assert not reader.faults(), "\n".join(reader.faults())


def test_every_action_from_its_question_to_what_is_said_of_it(
    site: scene.Scene, admin_client: Client
) -> None:
    reader = Reader(admin_client)
    with every_text_marked():
        for model in WITH_ACTIONS:
            _take_every_action(model, admin_client, reader)
    assert not reader.faults(), "\n".join(reader.faults())


def _take_every_action(model: str, client: Client, reader: Reader) -> None:
    """First all rows that the list shows are asked about, then the question is answered."""
    address = reverse(f"admin:{model}_changelist")
    context = client.get(address).context
    keys = [str(row.pk) for row in context["cl"].result_list]
    for name, _label in context["action_form"].fields["action"].choices:
        said = {"action": name, "_selected_action": keys, "reason": "because", "index": "0"}
        for step in ({}, {"confirmed": name, "post": "yes"}) if name else ():
            reader.post(f"{model} {name}", address, said | step)


def test_a_text_that_is_not_marked_is_found() -> None:
    html = '<h1>⟦Jobs⟧</h1><p title="Left out">⟦5 <b>jobs⟧</b></p><input type="submit" value="Go on">'
    assert ShownTexts(html).unmarked == ["Left out", "Go on"]
    assert ShownTexts("<p>Nothing <pre>of this</pre> is here</p>").unmarked == ["Nothing", "is here"]
    assert words_left("job email, 5 min ago", ["email"]) == "job  ,   ago"
