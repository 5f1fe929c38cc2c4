"""A list that looked for nothing says why in place of its rows, and tells no number of them."""

from __future__ import annotations

import re

import pytest
from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from jobqueue.admin import live
from tests.jobqueue.admin.steps import JOBS, make_job, text_of
from tests.spendsync_site.test_searches import SEARCHED

pytestmark = pytest.mark.django_db(databases=["default", "other"])
REFUSED = '<p class="jq-notice" role="alert" data-live-say><bdi>Nothing was looked for: '
_BELOW = re.compile(r'class="paginator"|class="jq-pages"')
_TABS_WITH_NUMBERS = re.compile(r"All\s*(?:<[^>]*>\s*)*0\b")


def _page(client: Client, url: str, **asked: str) -> str:
    return text_of(client.get(url, asked))


def _check(page: str) -> None:
    """One refusal, in the list; no "Nothing is here.", no number of what was not looked for."""
    assert page.count("Nothing was looked for") == 1
    assert page.count(REFUSED) == 1
    assert page.index('id="changelist') < page.index(REFUSED) < page.index("<footer")
    assert "Nothing is here" not in page
    assert "No job meets all of this" not in page
    assert ">0 results" not in page or "jq-results" not in page  # Django's own lists count as ever
    assert not _TABS_WITH_NUMBERS.search(page)
    assert not _BELOW.search(page)


@pytest.mark.parametrize("text", ["a\x00b", "word " * 11, "w" * 201], ids=["NUL", "words", "characters"])
@pytest.mark.parametrize("model", SEARCHED, ids=str)
def test_every_list_says_in_place_of_its_rows_why_nothing_was_looked_for(
    admin_client: Client, model: type[Model], text: str
) -> None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    _check(_page(admin_client, reverse(name), q=text.strip()))


@pytest.mark.parametrize("text", ['error:"mailbox', "state:soon", "a\x01b", "nothing:1", "email:anna"])
@pytest.mark.parametrize("name", ["job", "failedjob", "stuckjob"])
def test_so_does_each_list_of_jobs_of_words_that_it_cannot_read(
    admin_client: Client, name: str, text: str
) -> None:
    _check(_page(admin_client, reverse(f"admin:jobqueue_{name}_changelist"), q=text))


@pytest.mark.parametrize("filter_", [{"state": "soon"}, {"age": "soon"}, {"stopped": "soon"}, {"audit": "x"}])
def test_so_does_a_list_of_a_filter_that_it_cannot_read(
    admin_client: Client, filter_: dict[str, str]
) -> None:
    make_job()
    _check(_page(admin_client, JOBS, **filter_))


def test_a_list_that_is_renewed_goes_on_saying_so(admin_client: Client) -> None:
    answer = admin_client.get(JOBS, {"q": "a\x00b"}, headers={live.ASKED: "1"})
    assert REFUSED in answer.content.decode()


def test_a_list_that_found_nothing_says_that(admin_client: Client) -> None:
    make_job()
    page = _page(admin_client, JOBS, q="state:failed")
    assert "No job meets all of this" in page and REFUSED not in page


@pytest.mark.parametrize("name", ["job", "failedjob", "stuckjob"])
def test_what_is_read_out_of_it_is_why_and_no_number(admin_client: Client, name: str) -> None:
    page = _page(admin_client, reverse(f"admin:jobqueue_{name}_changelist"), q="foo:bar")
    said = re.findall(r"data-live-say>(.*?)</(?:p|span)>", page)
    assert len(said) == 1 and "Nothing was looked for: " in said[0]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Nothing was done. Nothing was looked for: "),
        ("de", "Nichts wurde getan. Nichts wurde gesucht: "),
    ],
)
@pytest.mark.parametrize("query", ["?q=foo:bar", "?state=soon", "?q=a%00b"])
def test_an_action_on_it_does_nothing_and_says_why(
    admin_client: Client, language: str, said: str, query: str
) -> None:
    job = make_job("delayed")
    chosen = {"action": "cancel", "select_across": "1", "_selected_action": "0", "index": "0"}
    for more in ({}, {"confirmed": "cancel"}, {"select_across": "0", "_selected_action": str(job.pk)}):
        answer = admin_client.post(JOBS + query, chosen | more, headers={"accept-language": language})
        assert answer.status_code == 302 and answer["Location"] == JOBS + query
    texts = [str(message) for message in get_messages(answer.wsgi_request)]
    assert texts and all(text.startswith(said) for text in texts)
    job.refresh_from_db()
    assert job.state == "waiting"
