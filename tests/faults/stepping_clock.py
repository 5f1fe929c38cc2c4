"""A PostgreSQL whose clock steps while it runs, by Debian's libfaketime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.crashes import CrashingPostgreSQL


class SteppingPostgreSQL(CrashingPostgreSQL):
    """Its clock shows the host's time and so many seconds more or less."""

    def __init__(self, folder: Path) -> None:
        self._offset_file = folder / "offset"
        self.offset = 0
        self.step_to(0)
        super().__init__(
            folder,
            {
                "LD_PRELOAD": str(_library()),
                "FAKETIME_TIMESTAMP_FILE": str(self._offset_file),
                "FAKETIME_NO_CACHE": "1",
                # What PostgreSQL itself measures goes on.
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            },
        )

    def step_by(self, seconds: int) -> None:
        """Let the clock step forwards or, with a negative number, backwards."""
        self.step_to(self.offset + seconds)

    def step_to(self, offset: int) -> None:
        """Let the clock step to the host's time and so many seconds more."""
        self.offset = offset
        written = self._offset_file.with_suffix(".new")
        written.write_text(f"{offset:+d}\n")
        os.replace(written, self._offset_file)


def _library() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.fail("there is no libfaketime; install it (Debian: apt-get install faketime)")
    return found[0]
