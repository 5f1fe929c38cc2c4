"""What kinds of jobs are called, and when an app keeps quiet: told by the apps, shown in the calendar.

    from jobqueue.operating import names_kinds, tells_quiet_hours

    names_kinds(
        "shop.reminder",
        _("Reminder"),
        {"first": _("first reminder")},
        moves=_("A reminder stays before the one that follows it."),
    )

    @tells_quiet_hours(_("in which no reminder goes out"))
    def night(first, last):
        return [(begin, end)]  # aware, as far as they touch the days between first and last

Both texts may be left out. A kind is a value of the payload that the processor's counter counts by
(`TypeCounter(payload_key=…)`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, overload

Period = tuple[datetime, datetime]
Teller = TypeVar("Teller", bound=Callable[[datetime, datetime], Sequence[Period]])

_names: dict[str, tuple[Any, Mapping[str, Any]]] = {}
_moves: dict[str, Any] = {}
_quiet: list[tuple[Callable[[datetime, datetime], Sequence[Period]], Any]] = []


def names_kinds(
    processor: str, name: Any, kinds: Mapping[str, Any] | None = None, *, moves: Any = ""
) -> None:
    """Say what jobs of `processor` are called, and each kind of them; texts may be translatable.

    `moves` is the sentence that says to which times they may move, for whoever is about to move them.
    """
    _names[processor] = (name, kinds or {})
    _moves[processor] = moves


@overload
def tells_quiet_hours(function: Teller) -> Teller: ...
@overload
def tells_quiet_hours(function: Any) -> Callable[[Teller], Teller]: ...
def tells_quiet_hours(function: Any) -> Any:
    """Register a function that tells the periods between two moments in which nothing is sent.

    With a text it says below the calendar what these hours mean: `@tells_quiet_hours(_("…"))`.
    """

    def register(teller: Teller, meaning: Any = "") -> Teller:
        _quiet.append((teller, meaning))
        return teller

    return register(function) if callable(function) else lambda teller: register(teller, function)


def name_of(processor: str, kind: str) -> str:
    """What people call jobs of this kind; without a name of an app the processor's own."""
    name, kinds = _names.get(processor, (processor, {}))
    return f"{name}: {kinds.get(kind, kind)}" if kind else str(name)


def bounds_of_moves(processors: Iterable[str]) -> list[str]:
    """What the apps say of the times to which jobs of these processors may move, each sentence once."""
    said = (str(_moves.get(processor, "")) for processor in processors)
    return list(dict.fromkeys(filter(None, said)))


def quiet_periods(first: datetime, last: datetime) -> list[Period]:
    """When somebody keeps quiet between these moments, in order."""
    return sorted(period for teller, _meaning in _quiet for period in teller(first, last))


def is_ever_quiet() -> bool:
    """Whether any app keeps quiet hours."""
    return bool(_quiet)


def meanings_of_quiet_hours() -> str:
    """What the apps say that their quiet hours mean; empty where none says it."""
    return "; ".join(dict.fromkeys(str(meaning) for _teller, meaning in _quiet if meaning))
