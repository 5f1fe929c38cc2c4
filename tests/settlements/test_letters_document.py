"""`docs/letters.md` says what the code does."""

from __future__ import annotations

from settlements.letters import LETTERS
from tests.settlements.letters_document import DOCUMENT, reasons_for_every_letter, row_of


def test_the_document_has_the_table_of_the_code() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    assert rows == [row_of(name, letter) for name, letter in LETTERS.items()]


def test_the_reasons_that_hold_for_every_letter_are_in_the_document() -> None:
    assert len(reasons_for_every_letter()) == 9
