"""What `docs/letters.md` says, read for the tests."""

from __future__ import annotations

import re
from pathlib import Path

from settlements.letters import LETTERS, Letter

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "letters.md"


def row_of(name: str, letter: Letter) -> str:
    """The letter as a line of the document's table."""
    cells = (f"`{name}`", ", ".join(letter.to), letter.when, letter.true_while, "; ".join(letter.skipped))
    return f"| {' | '.join(cells)} |"


def reasons_for_every_letter() -> list[str]:
    """The second column of the table "For whom, and where to"."""
    section = DOCUMENT.read_text().split("## For whom, and where to")[1].split("\n\n##")[0]
    cells = [line.split("|")[2] for line in section.splitlines() if line.startswith("| ")]
    return [reason.strip() for cell in cells[1:] for reason in cell.split(";")]


def is_documented(template_type: str, reason: str) -> bool:
    """Whether the document names this reason for the letter; "…" stands for what differs."""
    known = [*LETTERS[template_type].skipped, *reasons_for_every_letter()]
    return any(re.fullmatch(re.escape(text).replace("…", ".+"), reason) for text in known)
