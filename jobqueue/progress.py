"""How far a job says that it is: checked where it says so, and kept in memory until it is told."""

from __future__ import annotations

from dataclasses import dataclass

from jobqueue.exceptions import InvalidProgress
from jobqueue.values import is_number, shown

LONGEST_TEXT = 100
MOST = 1e15
"""The largest number: up to here a float is exact, and a page can show it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """So much of so much is done. Without a `total` nobody knows how much there is."""

    done: float | None = None
    total: float | None = None
    share: float | None = None
    """From 0 to 1; None where nobody knows."""
    text: str = ""


def progress_of(
    done: float | None = None, total: float | None = None, share: float | None = None, text: str = ""
) -> Progress:
    """What was said, within its bounds: more than all is all, and a long text is cut.

    Raises InvalidProgress for what is no number of 0 or more, or no text.
    """
    if share is not None and (done is not None or total is not None):
        raise InvalidProgress("pass done, with or without total, or a share, not both")
    if done is None and total is not None:
        raise InvalidProgress("pass done with total: so much of so much")
    for name, number in (("done", done), ("total", total), ("share", share)):
        _check(name, number)
    if not isinstance(text, str):
        raise InvalidProgress(f"text must be a str, not {type(text).__name__} {shown(text)}")
    if done is not None and total is not None:
        done = min(done, total)
        share = done / total if total else 1.0  # there was nothing to do
    return Progress(done, total, None if share is None else min(share, 1.0), _one_line(text))


def _check(name: str, number: object) -> None:
    if number is None:
        return
    if not isinstance(number, int | float) or not is_number(number) or not 0 <= number <= MOST:
        raise InvalidProgress(f"{name} must be a number from 0 to {MOST:.0f}, or None, not {shown(number)}")


def _one_line(text: str) -> str:
    """Without what a page cannot show in a line. Of a text without an end not all is read."""
    words = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST_TEXT]).split()
    line = " ".join(words)
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"
