"""What the tests of whole projects share: a new database for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.integration.postgresql import ON_POSTGRESQL, PostgreSQLDatabase

NewDatabase = Callable[[], str]
_numbers = count(1)


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[Callable[[], PostgreSQLDatabase]]:
    """Makes databases for projects, on the server that the tests run on."""
    made: list[PostgreSQLDatabase] = []

    def make() -> PostgreSQLDatabase:
        made.append(PostgreSQLDatabase(f"jobqueue_project_{os.getpid()}_{next(_numbers)}"))
        made[-1].create()
        return made[-1]

    yield make
    for database in made:
        database.drop()


@pytest.fixture
def new_database(tmp_path: Path, new_postgresql: Callable[[], PostgreSQLDatabase]) -> NewDatabase:
    """Makes empty databases of the kind that the tests run on; each as an entry of DATABASES."""

    def make() -> str:
        if ON_POSTGRESQL:
            return repr(new_postgresql().settings())
        options = {"transaction_mode": "IMMEDIATE", "timeout": 20}
        name = str(tmp_path / f"{next(_numbers)}.sqlite3")
        return repr({"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options})

    return make
