"""Which verbs a list of jobs offers: what its state allows, whether a tab or words of the search say it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from jobqueue.operating.verbs import Verb
from jobqueue.searching import OF_ANY_STATE, PART_OF, STATES, Unreadable, parse


def offered(verbs: Iterable[Verb], state: str, text: str) -> list[Verb]:
    """Those that jobs of a list can take, of which a tab says the state and a search the `text`.

    Verbs for a part of a state are offered where that part is listed: in a list of all active jobs nearly
    every one would refuse what takes a stuck job.
    """
    found = _states_of(state, text)
    return [verb for verb in verbs if found.intersection(verb.states)]


def _states_of(state: str, text: str) -> set[str]:
    search = parse(text)
    words = [] if isinstance(search, Unreadable) else search.named("state")
    asked = {state, *(word.value for word in words if not word.negated)}.difference(("", *OF_ANY_STATE))
    return _possible(asked, {word.value for word in words if word.negated})


def _possible(asked: Collection[str], left_out: Collection[str]) -> set[str]:
    """The states that jobs can have which are in all of some, and in none of those that are left out."""
    wider = {PART_OF.get(word) for word in asked}
    narrowest = {word for word in asked if word not in wider}
    if len(narrowest) > 1:
        return set()  # no job is in two
    found = narrowest or set(STATES).difference(OF_ANY_STATE)
    return {word for word in found if not {word, PART_OF.get(word)}.intersection(left_out)}
