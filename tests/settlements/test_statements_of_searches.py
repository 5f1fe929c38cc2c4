"""What searches ask the database: no more for ten words than for one; and what such words find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.models import Job
from jobqueue.searching import Found, Search, find_jobs, parse
from settlements import searching
from settlements.models import Settlement
from tests.jobqueue.admin.steps import FAILED, JOBS, add_attempt, make_job, make_worker
from tests.jobqueue.groups import GROUPS, OF_MONEY, member_of

MOST = 15
"""Session, user, permissions and all that every page asks included."""
MIXED = (
    "user0 -user1 -mailbox about:user2 -about:user3 about:rent -email:u4@x.io -worker:web-7 "
    "-error:refused -deadbeef"
)
"""Ten words, each of which is looked for elsewhere."""
ALIKE: dict[str, tuple[str, str]] = {
    kind: (one.format(9), " ".join(map(one.format, range(10))))
    for kind, one in {
        "bare, negated": "-user{}",
        "about": "about:user{}",
        "about, negated": "-about:user{}",
        "about a subject": "about:auth.user:{}",
        "address": "email:u{}@x.io",
        "worker, negated": "-worker:web-{}",
        "error, negated": "-error:refused{}",
        "key, negated": "-deadbee{}",
    }.items()
}
"""By what its words look for: a search of one word, and the same of ten."""
ONE_AND_TEN = ALIKE | {
    "mixed": ("user0", MIXED),
    "two negated": ("-user7", "-user7 -user8"),
    "both": ("user7", "user7 -mailbox"),
}


@pytest.fixture
def operator(payer: User, payee: User) -> Client:
    """A client of somebody in all groups, who may read payloads, among ten people with debts and jobs."""
    client = member_of(*GROUPS, *OF_MONEY)
    member = User.objects.get(username="member")
    member.user_permissions.add(Permission.objects.get(codename="view_payload"))
    for number in range(10):
        person = User.objects.create_user(f"user{number}", f"u{number}@x.io")
        debt = {"payer": person, "payee": payee, "amount": 5, "due_date": "2030-01-01T12:00:00Z"}
        owed = Settlement.objects.create(description=f"Rent {number}", **debt)
        make_worker(name=f"web-{number}", hostname=f"host-{number}")
        about = {"subject": f"settlements.settlement:{owed.pk}", "payload": {"user_id": person.pk}}
        add_attempt(make_job("failed", reason=f"refused{number}", **about), worker_name=f"web-{number}")
        make_job("active", subject=f"auth.user:{person.pk}")
    make_job(), make_job("active")
    return client


def _asked(client: Client, url: str, text: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url, {"q": text}).status_code == 200
    return len(asked)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_no_search_asks_more_the_more_words_it_has(operator: Client) -> None:
    counts = {
        (kind, url): tuple(_asked(operator, url, text) for text in texts)
        for kind, texts in ONE_AND_TEN.items()
        for url in (JOBS, FAILED)
    }
    assert not {name: asked for name, asked in counts.items() if max(asked) > MOST}
    assert not {name: (one, ten) for name, (one, ten) in counts.items() if ten > one and name[0] in ALIKE}


@pytest.fixture
def member(operator: Client) -> User:
    """Who may read payloads."""
    return User.objects.get(username="member")


def _found(text: str, user: User) -> Found:
    search = parse(text)
    assert isinstance(search, Search), search
    found = find_jobs(Job.objects.all(), search, user)
    assert isinstance(found, Found)
    return found


def _ids(text: str, user: User) -> set[int]:
    return set(_found(text, user).jobs.values_list("pk", flat=True))


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("kind", ONE_AND_TEN)
def test_words_together_find_what_each_finds_alone(member: User, kind: str) -> None:
    words = ONE_AND_TEN[kind][1].split()
    alone = [_ids(word, member) for word in words]
    assert any(ids != alone[0] for ids in alone) or kind == "key, negated"
    assert _ids(" ".join(words), member) == set.intersection(*alone)
    assert _ids(" ".join(words[:2]), member) == alone[0] & alone[1]


@pytest.mark.django_db(databases=["default", "other"])
def test_a_negated_word_among_others_leaves_out_exactly_what_it_finds(member: User) -> None:
    everything = set(Job.objects.values_list("pk", flat=True))
    left_out: set[int] = set()
    for number in (1, 4, 7):
        left_out |= _ids(f"user{number}", member)
    assert left_out and _ids("-user1 -user4 -user7", member) == everything - left_out


@pytest.mark.django_db(databases=["default", "other"])
def test_bounds_hold_for_each_word_and_are_said_of_the_search(
    member: User, make_settlement: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> None:
    debtor: Any = User.objects.get(username="user3")
    for number in range(3):
        make_settlement(payer=debtor, description=f"Debt {number}")
    assert not _found("-user1 -user3", member).records_cut
    monkeypatch.setattr(searching, "_MOST_OF_A_PERSON", 2)
    assert not _found("-user1 -user2", member).records_cut
    assert _found("-user1 -user3 -user2", member).records_cut
    alone = [_ids(f"-user{number}", member) for number in (1, 3, 2)]
    assert _ids("-user1 -user3 -user2", member) == set.intersection(*alone)
