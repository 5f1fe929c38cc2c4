"""The diagram of states names every verb and every state."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from jobqueue.models import transitions
from tests.jobqueue.models.transition_steps import ARROWS, State

WRITES = {"insert", "insert_or_lock"}


def _verbs() -> dict[str, Callable[..., Any]]:
    return {
        name: verb
        for name, verb in inspect.getmembers(transitions, inspect.isfunction)
        if verb.__module__ == transitions.__name__ and not name.startswith("_")
    }


def test_the_diagram_has_every_verb_and_every_state() -> None:
    diagram = str(transitions.__doc__).split("\n\n`attempt`")[0]

    assert set(_verbs()) == WRITES.union(*ARROWS.values())
    assert set(_verbs()) <= set(re.findall(r"\w+", diagram))
    assert set(re.findall(r"\[(\w+)\]", diagram)) == set(State.values)


def test_every_verb_says_which_arrow_it_is() -> None:
    for name, verb in _verbs().items():
        text = " ".join(str(verb.__doc__).split())
        for (state, next_state), verbs in ARROWS.items():
            if name in verbs:
                assert re.match(rf"[\w ]*\b{state}\b[\w ]* -> {next_state}\b", text), name
