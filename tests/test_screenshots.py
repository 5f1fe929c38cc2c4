"""The pictures that README shows: there, small, told to who does not see them; no others are kept."""

from __future__ import annotations

import subprocess

from tests.screenshots import PICTURES, ROOT, SHOWN

MOST_BYTES = 150 * 1024


def test_git_keeps_what_readme_shows_and_no_more() -> None:
    command = ["git", "-c", "safe.directory=*", "ls-files", str(PICTURES)]
    kept = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(kept) == sorted(f"docs/screenshots/{name}.png" for name in SHOWN)


def test_readme_shows_each_with_a_text_and_each_is_small() -> None:
    readme = (ROOT / "README.md").read_text()
    for name, text in SHOWN.items():
        assert f"![{text}](docs/screenshots/{name}.png)" in readme
        assert (PICTURES / f"{name}.png").stat().st_size <= MOST_BYTES, name
