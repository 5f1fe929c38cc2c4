"""What a list offers to do: in the menu for chosen jobs and above the list for all, what its state allows."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from jobqueue.models import Job
from jobqueue.models.holding import hold_all
from jobqueue.operating.verbs import BULK_VERBS
from jobqueue.searching import OF_ANY_STATE, STATES
from tests.jobqueue.admin.steps import (
    FAILED,
    JOBS,
    STUCK,
    add_attempt,
    choose,
    confirm,
    entries_of,
    make_job,
    operator,
    text_of,
)

pytestmark = pytest.mark.django_db

OFFERED = {
    "waiting": {"cancel", "hold", "delete"},
    "delayed": {"run_now", "cancel", "hold", "delete"},
    "held": {"let_go", "cancel", "delete"},
    "active": set(),
    "stuck": {"release", "fail"},
    "failed": {"retry", "delete"},
    "completed": {"delete"},
    "skipped": {"delete"},
    "cancelled": {"retry", "delete"},
}
BY_TAB = [({"state": state}, state, offered) for state, offered in OFFERED.items()]
BY_WORDS = [({"q": f"state:{state}"}, state, offered) for state, offered in OFFERED.items()]
PERMISSIONS = {
    "retry": "retry_job",
    "run_now": "run_job",
    "cancel": "cancel_job",
    "release": "put_back_job",
    "fail": "fail_job",
    "delete": "delete_job",
    "hold": "hold_job",
    "let_go": "release_job",
}


def _named(value: object) -> str:
    """A name for the case that is the same in every process: sets have no order."""
    if isinstance(value, set):
        return ",".join(sorted(value)) or "nothing"
    return (
        "&".join(f"{name}={text}" for name, text in value.items()) if isinstance(value, dict) else str(value)
    )


def _job_in(state: str) -> Job:
    if state != "held":
        return make_job(state)
    job = make_job("delayed")
    hold_all(Job.objects.filter(pk=job.pk), "held")
    return job


def _offers(client: Client, query: dict[str, str], url: str = JOBS) -> tuple[set[str], set[str]]:
    """The verbs in the menu for chosen jobs, and those for all jobs of the list."""
    page = text_of(client.get(url, query))
    menu = re.search(r'<select name="action".*?</select>', page, re.DOTALL)
    chosen = set(re.findall(r'<option value="(\w+)"', menu[0])) if menu else set()
    return chosen, set(re.findall(r'<button [^>]*name="action" value="(\w+)"', page))


# What the state allows ----------------------------------------------------------------------------


def test_every_state_is_looked_at_here() -> None:
    assert set(OFFERED) == set(STATES).difference(OF_ANY_STATE)


@pytest.mark.parametrize(("state", "offered"), OFFERED.items())
def test_what_is_offered_is_what_takes_a_job_in_that_state(state: str, offered: set[str]) -> None:
    one = Job.objects.filter(pk=_job_in(state).pk)
    assert {name for name, verb in BULK_VERBS.items() if verb.eligible(one).exists()} == offered


@pytest.mark.parametrize(("query", "state", "offered"), [*BY_TAB, *BY_WORDS], ids=_named)
def test_a_list_of_one_state_offers_what_it_allows(
    admin_client: Client, query: dict[str, str], state: str, offered: set[str]
) -> None:
    _job_in(state)
    assert _offers(admin_client, query) == (offered, offered)


@pytest.mark.parametrize("query", [{}, {"q": "sample.succeed"}, {"state": "retried"}, {"q": "state:retried"}])
def test_a_list_of_any_state_offers_all(admin_client: Client, query: dict[str, str]) -> None:
    add_attempt(make_job("failed"), is_retried=True)
    assert _offers(admin_client, query) == (set(BULK_VERBS), set(BULK_VERBS))


# Several words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "state", "offered"),
    [
        ({"q": "state:failed since:2h -queue:settlement"}, "failed", {"retry", "delete"}),
        ({"q": "STATE:Failed"}, "failed", {"retry", "delete"}),
        ({"q": "state:failed state:failed"}, "failed", {"retry", "delete"}),
        ({"q": "state:active state:stuck"}, "stuck", {"release", "fail"}),
        ({"state": "active", "q": "state:stuck"}, "stuck", {"release", "fail"}),
        ({"state": "stuck", "q": "state:active"}, "stuck", {"release", "fail"}),
        ({"state": "delayed", "q": "state:held"}, "held", {"let_go", "cancel", "delete"}),
        ({"q": "state:delayed -state:held"}, "delayed", {"run_now", "cancel", "hold", "delete"}),
        ({"state": "completed", "q": "-state:skipped"}, "completed", {"delete"}),
        ({"state": "active", "q": "-state:stuck"}, "active", set()),
        ({"state": "failed", "q": "state:retried"}, "failed", {"retry", "delete"}),
        ({"q": "state:failed -state:cancelled"}, "failed", {"retry", "delete"}),
    ],
    ids=_named,
)
def test_words_that_narrow_each_other_offer_what_is_left(
    admin_client: Client, query: dict[str, str], state: str, offered: set[str]
) -> None:
    add_attempt(_job_in(state), is_retried=True)
    assert _offers(admin_client, query) == (offered, offered)


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ("-state:failed", set()),
        ("-state:failed -state:cancelled", {"retry"}),
        ("NOT state:stuck", {"release", "fail"}),
        ("-state:active", {"release", "fail"}),
        ("-state:held", {"let_go"}),
        ("-state:delayed", {"run_now", "let_go"}),
        ("-state:waiting", set()),
        ("-state:waiting -state:delayed", {"run_now", "cancel", "hold", "let_go"}),
        ("-state:completed", set()),
        ("-state:retried", set()),
    ],
)
def test_words_that_leave_states_out_take_away_what_no_other_state_allows(
    admin_client: Client, words: str, gone: set[str]
) -> None:
    for state in OFFERED:
        _job_in(state)
    left = set(BULK_VERBS) - gone
    assert _offers(admin_client, {"q": words}) == (left, left)


def test_active_jobs_that_are_all_that_is_left_may_be_stuck(admin_client: Client) -> None:
    make_job("stuck")
    others = ("waiting", "delayed", "failed", "completed", "cancelled")
    words = " ".join(f"-state:{state}" for state in others)
    assert _offers(admin_client, {"q": words}) == ({"release", "fail"}, {"release", "fail"})


# The lists of failed and of stuck jobs -----------------------------------------------------------


@pytest.mark.parametrize(("url", "state"), [(FAILED, "failed"), (STUCK, "stuck")])
@pytest.mark.parametrize("words", ["", "queue:email", "-state:cancelled"])
def test_the_menu_entries_offer_what_their_jobs_take(
    admin_client: Client, url: str, state: str, words: str
) -> None:
    make_job(state)
    assert _offers(admin_client, {"q": words} if words else {}, url) == (OFFERED[state], OFFERED[state])


def test_stuck_jobs_among_the_active_ones_are_still_listed(admin_client: Client) -> None:
    job = make_job("stuck")
    assert f"#{job.pk}" in text_of(admin_client.get(JOBS, {"state": "active"}))


# Nothing to offer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{"state": "active"}, {"q": "state:active"}], ids=_named)
def test_a_list_that_offers_nothing_has_neither_bar_nor_boxes(
    admin_client: Client, query: dict[str, str]
) -> None:
    make_job("active")
    page = text_of(admin_client.get(JOBS, query))
    assert 'id="result_list"' in page
    for part in ('name="action"', 'class="actions"', "jq-all-matching", "action-select", "action-toggle"):
        assert part not in page


@pytest.mark.parametrize("query", [{"state": "completed"}, {"q": "state:completed"}], ids=_named)
def test_who_may_not_do_what_the_state_allows_gets_no_boxes(query: dict[str, str]) -> None:
    make_job("completed")
    allowed = set(PERMISSIONS.values()) - {"delete_job"}
    page = text_of(operator("view_job", *allowed).get(JOBS, query))
    assert "action-select" not in page
    assert "jq-all-matching" not in page


@pytest.mark.parametrize(
    "query", [{"state": "completed"}, {"q": "state:completed"}, {"state": "none"}], ids=_named
)
def test_an_empty_list_has_neither_bar_nor_boxes(admin_client: Client, query: dict[str, str]) -> None:
    page = text_of(admin_client.get(JOBS, query))
    said = [
        text in page for text in ("Nothing is here.", "No job meets all of this.", "Nothing was looked for:")
    ]
    is_refused = query.get("state") == "none"
    assert said == ["q" not in query and not is_refused, "q" in query, is_refused]
    for part in ('name="action"', 'class="actions"', "jq-all-matching", "action-toggle"):
        assert part not in page


# Who may what -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", PERMISSIONS)
def test_of_what_the_state_allows_a_user_is_offered_what_they_may(verb: str) -> None:
    client = operator("view_job", PERMISSIONS[verb])
    for state in OFFERED:
        _job_in(state)
    for query, state, offered in [*BY_TAB, *BY_WORDS]:
        expected = offered & {verb}
        assert _offers(client, query) == (expected, expected), (query, state)


# A page that was opened before --------------------------------------------------------------------

NO_LONGER_OFFERED = [
    ("fail", "active", "Nothing was failed: that takes a stuck job."),
    ("release", "active", "Nothing was put back on the road: that takes a stuck job."),
    ("retry", "completed", "Nothing was retried: that takes a failed or cancelled job."),
    ("run_now", "completed", "Nothing was made due now: that takes a delayed job that is not held."),
    ("let_go", "waiting", "Nothing was released: that takes a held job."),
]


@pytest.mark.parametrize("query", ["state={}", "q=state:{}"])
@pytest.mark.parametrize("fields", [{}, {"select_across": "1"}], ids=["chosen", "all"])
@pytest.mark.parametrize(("verb", "state", "said"), NO_LONGER_OFFERED)
def test_what_an_old_page_sends_is_refused_by_what_the_verb_takes(
    admin_client: Client, verb: str, state: str, said: str, fields: dict[str, str], query: str
) -> None:
    job = make_job(state)
    before = Job.objects.filter(pk=job.pk).values().get()
    url = f"{JOBS}?{query.format(state)}"
    response = choose(admin_client, verb, *([] if fields else [job]), url=url, **fields)
    assert (response.status_code, response.headers["Location"]) == (302, url)
    assert said in text_of(admin_client.get(url))
    assert Job.objects.filter(pk=job.pk).values().get() == before
    assert entries_of(job) == []


def test_an_old_page_that_was_confirmed_acts_on_no_other_job_than_the_verb_takes(
    admin_client: Client,
) -> None:
    stuck, healthy = make_job("stuck"), make_job("active")
    said = confirm(admin_client, "fail", stuck, healthy, url=f"{JOBS}?state=active")
    assert said == ["1 job failed.", "1 job left alone: fail takes a stuck job."]
    assert [Job.objects.get(pk=job.pk).state for job in (stuck, healthy)] == ["failed", "active"]


def test_an_old_page_of_who_may_no_longer_do_that_is_refused(client: Client) -> None:
    job = make_job("active")
    assert choose(operator("view_job"), "fail", job, url=f"{JOBS}?state=active").status_code == 403
