"""Plain functions, as other people's code puts them on our queues with plain RQ."""

from __future__ import annotations

from collections.abc import Iterator

from tests.workload.processors import EFFECT_BELL, EFFECTS, client

NOTE = "tests.workload.functions.note"
FAIL = "tests.workload.functions.fail"
NOTE_LATER = "tests.workload.functions.note_later"
NOTE_EACH = "tests.workload.functions.note_each"


def note(name: str, times: int = 1) -> str:
    """Has its effect, and returns something that nobody keeps."""
    with client().pipeline() as pipeline:
        pipeline.rpush(EFFECTS, *[name] * times)
        pipeline.rpush(EFFECT_BELL, "1")
        pipeline.execute()
    return name


async def note_later(name: str) -> None:
    """Has its effect once it is awaited."""
    note(name)


def note_each(*names: str) -> Iterator[str]:
    """Has its effects while somebody goes through it."""
    for name in names:
        note(name)
        yield name


def fail() -> None:
    """Fails in every run."""
    raise ValueError("no luck for anna@example.com")


class Account:
    """An object whose method somebody puts on a queue."""

    def note(self) -> None:
        """Has its effect."""
        note("method")


def after(*_: object) -> None:
    """A callback that has an effect."""
    note("callback")
