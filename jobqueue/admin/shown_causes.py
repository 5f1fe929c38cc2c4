"""Causes of failures as pages show them: numbers, times and what a retry leads to, in words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.utils.safestring import SafeString
from django.utils.translation import ngettext

from jobqueue.admin.words import time_tag
from jobqueue.models import UNKNOWN_CAUSE
from jobqueue.models.failures import CauseGroup
from jobqueue.operating.bulk_plans import TYPED_ABOVE
from jobqueue.operating.consequences import count_emails
from jobqueue.operating.words import grouped


@dataclass(frozen=True, slots=True)
class ShownCause:
    """One cause with its failed jobs; `now` is what times are told from."""

    group: CauseGroup
    now: datetime
    asked: Mapping[str, str]
    """The words of the address by which these jobs were asked for."""
    muted_by: str = ""
    is_muted: bool = False
    concerned: str = ""
    """Whom these jobs are about and what it is worth; empty if nobody knows."""
    is_added_up: bool = True
    """Whether that was looked for: of very many jobs it is asked for apart."""

    @property
    def name(self) -> str:
        """The cause."""
        return self.group.cause

    @property
    def anchor(self) -> str:
        """The id of the place on the page where `concerned` stands."""
        return f"jq-concerned-{hashlib.sha256(self.name.encode(errors='replace')).hexdigest()[:16]}"

    @property
    def is_known(self) -> bool:
        """Whether it has a name, so that it can be muted."""
        return self.name != UNKNOWN_CAUSE

    @property
    def number(self) -> int:
        """How many jobs."""
        return self.group.jobs

    @property
    def is_large(self) -> bool:
        """Whether an action on all of them asks first."""
        return self.number > TYPED_ABOVE

    @property
    def jobs(self) -> str:
        """How many jobs, to be read."""
        return grouped(self.number)

    @property
    def since(self) -> SafeString | str:
        """When the first of them failed."""
        return time_tag(self.group.first, self.now)

    @property
    def until(self) -> SafeString | str:
        """When the last of them failed."""
        return time_tag(self.group.last, self.now)

    @property
    def processors(self) -> str:
        """The processors whose jobs these are, the most frequent first."""
        return ", ".join(name for name, _number in self.group.by_processor.most_common())

    @property
    def mail(self) -> str:
        """What a retry of all of them leads to; empty if no e-mail is known to come of it."""
        emails = count_emails(self.group.by_processor)
        text = ngettext("up to %(number)s e-mail", "up to %(number)s e-mails", emails)
        return text % {"number": grouped(emails)} if emails else ""

    @property
    def query(self) -> str:
        """The words of an address that lead to these jobs."""
        return urlencode({**self.asked, "cause": self.name})
