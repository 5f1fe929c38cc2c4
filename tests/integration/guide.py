"""README's section for other projects, read so that a test can do what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.servers import ROOT

TITLE = "## Use `jobqueue` in another project"


@dataclass(frozen=True)
class Code:
    """One block of code: its language, the file that it belongs to (empty if none), and its text."""

    language: str
    file: str
    text: str

    @property
    def lines(self) -> list[str]:
        """What stands in it, without empty lines."""
        return [line for line in self.text.splitlines() if line.strip()]


def read_guide(readme: Path = ROOT / "README.md") -> list[Code]:
    """The blocks of code of the section, in their order."""
    section = readme.read_text().split(f"\n{TITLE}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [Code(language, _file(text), text) for language, text in blocks]


def _file(text: str) -> str:
    named = re.match(r"# (\S+\.py)\b", text)
    return named[1] if named else ""
