"""An older version of this repository, whose processes run beside today's."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.servers import ROOT

OLDER_COMMIT = "bb738ec"
"""The last one before job rows had columns that older code does not know."""


def older_code(folder: Path) -> Path:
    """Put the files of `OLDER_COMMIT` into the folder."""
    command = ["git", "archive", "--format=tar", OLDER_COMMIT]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if found.returncode:
        pytest.fail(
            f"the commit {OLDER_COMMIT}, whose worker is to run on today's schema, is not in this clone: "
            f"fetch the whole history (git fetch --unshallow); git said: {found.stderr.decode().strip()}"
        )
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder
