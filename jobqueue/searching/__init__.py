"""Search with words: one language for the admin, the API and commands.

`parse` reads what somebody typed, `find_jobs` turns it into a queryset. An app lets its people and records be
found by `register_source`. This is the door: other apps use what is named here.
"""

from jobqueue.searching.causes import FoundCause
from jobqueue.searching.conditions import NEWEST
from jobqueue.searching.parsing import Unreadable, frozen, parse, why_too_long, with_addresses_named
from jobqueue.searching.query import Found, find_jobs, why_refused
from jobqueue.searching.retried import RETRIED, retried_between
from jobqueue.searching.sources import (
    FoundRecord,
    FoundRecords,
    MaySee,
    RecordPage,
    RecordSource,
    register_source,
    sources_for,
    title_of,
    unregister_source,
)
from jobqueue.searching.states import CONDITIONS, ENDED, OF_ANY_STATE, PART_OF, STATES
from jobqueue.searching.words import LONGEST_SEARCH, MOST_WORDS, NAMES, Search, Word, quoted
from jobqueue.sql.any_case import contains
from jobqueue.sql.columns_together import columns_together
from jobqueue.sql.listed import has_key
from jobqueue.sql.together import read_together

__all__ = [
    "CONDITIONS",
    "ENDED",
    "LONGEST_SEARCH",
    "MOST_WORDS",
    "MaySee",
    "NAMES",
    "NEWEST",
    "OF_ANY_STATE",
    "PART_OF",
    "RETRIED",
    "STATES",
    "Found",
    "FoundCause",
    "FoundRecord",
    "FoundRecords",
    "RecordPage",
    "RecordSource",
    "Search",
    "Unreadable",
    "Word",
    "columns_together",
    "contains",
    "find_jobs",
    "frozen",
    "has_key",
    "parse",
    "quoted",
    "read_together",
    "register_source",
    "retried_between",
    "sources_for",
    "title_of",
    "why_refused",
    "with_addresses_named",
    "unregister_source",
    "why_too_long",
]
