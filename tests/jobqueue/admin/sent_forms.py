"""The forms that a page would send: read off the page, as a browser has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

from django.http import HttpResponse
from django.test import Client

Data = dict[str, list[str]]


@dataclass
class SentForm:
    """Where a form is sent to, and with what."""

    url: str
    data: Data = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    """Of the form of a list what may be done."""

    def send(self, client: Client, changed: Data) -> HttpResponse:
        """Send it with these fields changed; also what is no text can be sent."""
        body = urlencode({**self.data, **changed}, doseq=True, errors="surrogatepass")
        answer: HttpResponse = client.post(self.url, body, "application/x-www-form-urlencoded")
        return answer


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.found, self.select = url, list[SentForm](), ""
        self.form: SentForm | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            is_sent = found.get("method", "").lower() == "post"
            self.form = SentForm(urljoin(self.url, found.get("action", ""))) if is_sent else None
        if self.form is None:
            return
        name, value = found.get("name", ""), found.get("value", "")
        if tag == "select":
            self.select = name
        if tag == "option":
            self.form.data[self.select] = [value]
            self.form.actions += [value] if self.select == "action" and value else []
        elif name and not name.startswith("csrf") and found.get("type") != "submit":
            self.form.data.setdefault(name, [value])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self.form is not None:
            self.found.append(self.form)
            self.form = None


def forms_on(url: str, page: str) -> list[SentForm]:
    """The forms of the page that change something, but for those in the head of every page."""
    reader = _Reader(url)
    reader.feed(page)
    return [form for form in reader.found if "logout" not in form.url and form.data]
