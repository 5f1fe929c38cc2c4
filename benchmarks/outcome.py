"""What one run of the benchmarks found: every round's figures, and where they were taken."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.figures import median, ratio

Figures = dict[str, float]


@dataclass
class Outcome:
    """Figures by measure, peer and round; what failed; the machine."""

    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    """What the peers are called in tables."""
    failures: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    is_whole: bool = True
    """Whether every measure ran on every peer with full samples."""

    def add(self, measure: str, peer: str, figures: Figures) -> None:
        """Note one round."""
        self.rounds.setdefault(measure, {}).setdefault(peer, []).append(figures)

    def peers(self, measure: str) -> list[str]:
        """Those with at least one round of this measure."""
        return list(self.rounds.get(measure, {}))

    def samples(self, measure: str, peer: str, figure: str) -> list[float]:
        """One figure of every round; empty if there is none."""
        rounds = self.rounds.get(measure, {}).get(peer, [])
        return [figures[figure] for figures in rounds if figure in figures]

    def middle(self, measure: str, peer: str, figure: str) -> float | None:
        """The median of the rounds; None if there is no round."""
        samples = self.samples(measure, peer, figure)
        return median(samples) if samples else None

    def times(self, measure: str, peer: str, base: str, figure: str) -> float | None:
        """How many times the median of `base` is the median of `peer`; None if one is missing."""
        value, of = self.middle(measure, peer, figure), self.middle(measure, base, figure)
        return None if value is None or of is None else ratio(value, of)

    def jobs(self) -> int:
        """How many jobs were counted one by one, and each found to have run once."""
        return int(
            sum(
                figures.get("jobs", figures.get("samples", 0))
                for measure in ("noop", "counters", "io5", "email", "pickup", "delayed")
                for rounds in self.rounds.get(measure, {}).values()
                for figures in rounds
            )
        )

    def write(self, path: Path) -> None:
        """Everything, as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote."""
        return cls(**json.loads(path.read_text()))
