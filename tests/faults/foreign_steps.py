"""Messages that nobody of ours wrote."""

from __future__ import annotations

from pathlib import Path

from tests.faults import attacks
from tests.faults.attacks import Attack, Fields
from tests.workload.fixtures import Workload, note

NEXT_WITHIN = 2.0
"""Seconds in which the job behind a foreign message must have had its effect."""


def run_attacks(markers: Path) -> set[str]:
    """The names of the attacks that were run."""
    return {path.name for path in markers.iterdir() if path.is_dir()}


def all_attacks(markers: Path, which: list[Attack] = attacks.ATTACKS) -> dict[str, Fields]:
    """The attacks by name."""
    return {attack.__name__: attack(markers / attack.__name__) for attack in which}


def next_job_runs(workload: Workload, name: str) -> None:
    """A job enqueued now has its effect in time."""
    done = sum(workload.effects().values())
    note(name)
    workload.wait_for_effects(done + 1, timeout=NEXT_WITHIN)
