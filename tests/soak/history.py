"""Checks afterwards what happened: was everything done that was promised, and nothing of it twice?

What is compared is plain data, so the checker can be tried on histories that are known to be bad.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as its row was at the end. `lateness`: seconds from its time to its start, if it started."""

    id: int
    what: str
    state: str
    may_fail: bool = False
    lateness: float | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that happened outside: a key says what, an identity tells a repeat from a second one.

    An e-mail that goes out again under its Message-ID is a repeat; under another, it is a second one.
    """

    key: str
    identity: str


@dataclass
class History:
    """All that a trial promised and all that was seen of it."""

    promised: set[str] = field(default_factory=set)
    """Effects that must be there once: their cause was committed."""
    allowed: set[str] = field(default_factory=set)
    """Effects that may be there, at most once."""
    effects: list[Effect] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)
    """How many tries were begun of the effect with this identity, where somebody wrote that down."""
    jobs: list[JobRecord] = field(default_factory=list)


@dataclass
class Verdict:
    """What is wrong with a history."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    """Effects that nobody asked for, or whose cause was rolled back."""
    in_doubt: list[str] = field(default_factory=list)
    """Repeats that nobody can avoid: whoever had the effect ended before it could write that down."""
    effects: int = 0
    states: Counter[str] = field(default_factory=Counter)
    lateness: list[float] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing doubled, nothing out of nowhere."""
        return not (self.lost or self.doubled or self.phantom)

    def report(self) -> str:
        """What to print about it."""
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        lines = [
            f"jobs        {sum(self.states.values())}: {states}",
            f"effects     {self.effects}",
            f"lateness    {_percentile(self.lateness, 50):.2f} s median, "
            f"{_percentile(self.lateness, 99):.2f} s p99, {max(self.lateness, default=0):.2f} s at most",
        ]
        for name in ("lost", "doubled", "phantom", "in_doubt"):
            found = getattr(self, name)
            lines += [f"{name.replace('_', ' '):11} {len(found)}", *(f"  {text}" for text in found[:20])]
        return "\n".join(lines)


def check(history: History) -> Verdict:
    """Compare what was seen with what was promised."""
    verdict = Verdict(effects=len(history.effects))
    _check_effects(history, verdict)
    _check_jobs(history.jobs, verdict)
    return verdict


def _check_effects(history: History, verdict: Verdict) -> None:
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for effect in history.effects:
        seen[effect.key][effect.identity] += 1
    verdict.lost += sorted(f"no effect: {key}" for key in history.promised - seen.keys())
    verdict.phantom += sorted(seen.keys() - history.promised - history.allowed)
    for key, identities in sorted(seen.items()):
        if len(identities) > 1:
            verdict.doubled.append(f"{key}: {len(identities)} different ones")
        for identity, count in identities.items():
            if count > max(1, history.tries.get(identity, 1)):
                verdict.doubled.append(f"{key}: {count} times")
            elif count > 1:
                verdict.in_doubt.append(f"{key}: {count} times, in {history.tries[identity]} tries")


def _check_jobs(jobs: Iterable[JobRecord], verdict: Verdict) -> None:
    for job in jobs:
        verdict.states[job.state] += 1
        if job.state not in ENDED:
            verdict.lost.append(f"never ended: job {job.id} ({job.what}) is {job.state}")
        elif job.state == "failed" and not job.may_fail:
            verdict.lost.append(f"failed: job {job.id} ({job.what})")
        if job.lateness is not None:
            verdict.lateness.append(job.lateness)


def _percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of the values that at most (100 - percent) in a hundred exceed; 0 if there are none."""
    return sorted(values)[math.ceil(percent / 100 * len(values)) - 1] if values else 0.0
