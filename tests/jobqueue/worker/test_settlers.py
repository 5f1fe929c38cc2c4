"""One settler for each database: none waits for another's, and what they tell is told one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from jobqueue.models import Job
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.settler import Settler
from jobqueue.worker.settlers import Settlers
from tests.conftest import wait_until
from tests.jobqueue.steps import IDENTITY, TELLER


class Databases:
    """What the settlers write to: `other` hangs until the test lets it go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.told: list[str] = []
        self.telling = self.most_telling = 0

    def write(self, settler: Any, outcomes: list[Outcome]) -> None:
        if outcomes and outcomes[0].using == "other":
            self.go_on.wait(30)
        settler._settled(outcomes, outcomes)

    def note(self, outcomes: list[Outcome], _counted: list[Outcome]) -> None:
        self.telling += 1
        self.most_telling = max(self.telling, self.most_telling)
        time.sleep(0.01)  # so that two at once would be seen
        self.told += [outcome.using for outcome in outcomes]
        self.telling -= 1


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> Databases:
    made = Databases()
    monkeypatch.setattr(Settler, "_settle_until_written", lambda settler, given: made.write(settler, given))
    return made


@pytest.fixture
def settlers(databases: Databases) -> Iterator[Settlers]:
    made = Settlers(
        IDENTITY, TELLER, others_run=lambda: False, settled=databases.note, guard=lambda body: body
    )
    made.start()
    yield made
    databases.go_on.set()
    made.stop(10)


def _outcome(using: str) -> Outcome:
    return Outcome(Job(), using, OutcomeStatus.COMPLETED, 0.0)


def test_there_is_one_for_each_database_from_the_start(settlers: Settlers) -> None:
    assert sorted(settlers._settlers) == ["default", "other"]


def test_a_database_that_became_known_later_has_one_as_well(settlers: Settlers, databases: Databases) -> None:
    for _ in range(3):
        settlers.put(_outcome("archive"))
        wait_until(lambda: "archive" in databases.told)

    assert sorted(settlers._settlers) == ["archive", "default", "other"]


def test_many_threads_that_meet_a_database_first_get_one_settler(
    settlers: Settlers, databases: Databases
) -> None:
    threads = [threading.Thread(target=lambda: settlers.put(_outcome("archive"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: databases.told.count("archive") == 8)

    assert sorted(settlers._settlers) == ["archive", "default", "other"]


def test_outcomes_of_one_database_are_settled_while_another_hangs(
    settlers: Settlers, databases: Databases
) -> None:
    settlers.put(_outcome("other"))
    for _ in range(3):
        settlers.put(_outcome("default"))
    wait_until(lambda: databases.told.count("default") == 3)
    assert "other" not in databases.told

    databases.go_on.set()
    wait_until(lambda: "other" in databases.told)


def test_they_tell_one_at_a_time(settlers: Settlers, databases: Databases) -> None:
    databases.go_on.set()
    for _ in range(20):
        settlers.put(_outcome("default"))
        settlers.put(_outcome("other"))
    wait_until(lambda: len(databases.told) == 40)

    assert databases.most_telling == 1


def test_at_the_stop_what_is_there_is_settled(settlers: Settlers, databases: Databases) -> None:
    databases.go_on.set()
    for using in ("default", "other"):
        settlers.put(_outcome(using))
    settlers.stop(10)

    assert sorted(databases.told) == ["default", "other"]


def test_a_stop_waits_for_all_of_them_together_as_long_as_was_said(
    settlers: Settlers, databases: Databases
) -> None:
    settlers.put(_outcome("other"))
    settlers.put(_outcome("default"))
    begin = time.monotonic()
    settlers.stop(0.2)

    assert time.monotonic() - begin < 10
    assert databases.told == ["default"]
