"""What an executor holds: compared with its rows, given back, handed back, waited for."""

from __future__ import annotations

import threading

import pytest
from django.conf import LazySettings

from jobqueue.models import Job
from jobqueue.worker.claiming import Claim
from jobqueue.worker.in_hand import InHand
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, claimed

pytestmark = pytest.mark.django_db
in_both_databases = pytest.mark.django_db(databases=["default", "other"])


def _in_hand(told: list[int] | None = None) -> InHand:
    return InHand(IDENTITY.id, (told if told is not None else []).append)


def _claims(count: int) -> list[Claim]:
    return [Claim(claimed(), "default") for _ in range(count)]


def _outcome(claim: Claim) -> Outcome:
    return Outcome(claim.job, claim.using, OutcomeStatus.COMPLETED, 0.01)


def _waiting() -> set[int]:
    return set(Job.objects.waiting().values_list("pk", flat=True))


def test_the_supervisor_is_told_how_many_there_are() -> None:
    told: list[int] = []
    in_hand, claims = _in_hand(told), _claims(3)
    in_hand.take(claims)
    in_hand.note_settled([_outcome(claims[0])])
    in_hand.give_back(claims[1:], "no thread")

    assert told == [3, 2, 0]


@in_both_databases
def test_a_claim_that_nobody_heard_of_is_handed_back() -> None:
    in_hand, [known, stray] = _in_hand(), _claims(2)
    in_hand.take([known])
    in_hand.compare()

    assert _waiting() == {stray.job.pk}
    assert Job.objects.get(pk=stray.job.pk).reason == "handed back: its worker did not hear of its claim"


@in_both_databases
def test_what_another_worker_holds_is_left_alone() -> None:
    claimed(identity=OTHER_IDENTITY)
    _in_hand().compare()

    assert _waiting() == set()


@in_both_databases
def test_claims_are_compared_once_in_a_heartbeat_or_when_one_failed(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"HEARTBEAT_INTERVAL": 10, "WORKER_SILENCE": 60}
    in_hand = _in_hand()
    in_hand.compare()
    [stray] = _claims(1)
    in_hand.compare()
    assert _waiting() == set()

    in_hand.compare_soon()
    in_hand.compare()
    assert _waiting() == {stray.job.pk}


def test_what_was_given_back_does_not_count_as_taken() -> None:
    in_hand, claims = _in_hand(), _claims(3)
    in_hand.take(claims)
    in_hand.give_back(claims[1:], "no thread")

    assert (in_hand.taken, in_hand.claims) == (1, claims[:1])
    assert _waiting() == {claim.job.pk for claim in claims[1:]}


def test_nothing_to_give_back_is_nothing_told() -> None:
    told: list[int] = []
    _in_hand(told).give_back([], "no thread")

    assert told == []


def test_a_wait_ends_once_the_last_is_settled() -> None:
    in_hand, claims = _in_hand(), _claims(2)
    in_hand.take(claims)
    waiter = threading.Thread(target=in_hand.wait_until_settled, args=[lambda: False])
    waiter.start()
    in_hand.note_settled([_outcome(claims[0])])
    assert waiter.is_alive()

    in_hand.note_settled([_outcome(claims[1])])
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_wait_can_be_given_up() -> None:
    in_hand = _in_hand()
    in_hand.take(_claims(1))
    in_hand.wait_until_settled(lambda: True)

    assert not in_hand.is_empty


def test_there_is_room_for_what_is_missing_to_the_most() -> None:
    in_hand = _in_hand()
    in_hand.take(_claims(2))

    assert in_hand.wait_for_room(5) == 3


def test_who_waits_for_room_hears_at_once_what_was_settled() -> None:
    in_hand, claims, rooms = _in_hand(), _claims(2), []
    in_hand.take(claims)
    settling = threading.Timer(0.01, in_hand.note_settled, [[_outcome(claims[0])]])
    settling.start()
    while not rooms or not rooms[-1]:
        rooms.append(in_hand.wait_for_room(2))
    settling.join()

    assert rooms[-1] == 1
