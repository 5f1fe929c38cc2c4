"""The operators' pages in Django's admin: thin edges over the verbs of the models.

This is the door: other apps build their own pages from what is named here. To import it registers the pages.
"""

from jobqueue.admin import (
    all_jobs,
    audit_pages,
    bulk_pages,
    cause_pages,
    chart_pages,
    failed_jobs,
    processor_pages,
    queue_pages,
    set_aside_pages,
    stuck_jobs,
    worker_pages,
)
from jobqueue.admin.bounded_search import BoundedSearch
from jobqueue.admin.charts import chart_of_a_day
from jobqueue.admin.findings import Finding, lists_finding, register_finding
from jobqueue.admin.given_keys import GivenKeys, KeyedSelect
from jobqueue.admin.happenings import Happening, Happenings, happenings_about
from jobqueue.admin.keyed_list import KeyedChangeList
from jobqueue.admin.listing import COUNT_LIMIT, BoundedCount, BoundedPaginator
from jobqueue.admin.live import SECONDS as LIVE_SECONDS
from jobqueue.admin.live import answer as live_answer
from jobqueue.admin.live_record import LiveRecordMixin
from jobqueue.admin.not_found import FramedNotFound
from jobqueue.admin.outages import OutagesMiddleware, outage_page
from jobqueue.admin.panel import JobsPanelMixin
from jobqueue.admin.results import Result, tells_results
from jobqueue.admin.shown_moments import ShownMoments
from jobqueue.admin.shown_values import SHOWN, UNKNOWN, Shown, ShownField, seal, unseal
from jobqueue.admin.state_tabs import TabsFilter, tabs_of_field
from jobqueue.admin.ways import address_of
from jobqueue.admin.words import NOTHING, badge, mask_address, mask_addresses, time_tag
from jobqueue.operating.audit import log_change
from jobqueue.operating.concerns import Concern, Groups, Total, sums_concerns, tells_concerns
from jobqueue.operating.consequences import sends_emails, tells_perhaps_sent
from jobqueue.operating.kinds import names_kinds, tells_quiet_hours
from jobqueue.operating.previews import Preview, tells_preview

__all__ = [
    "unseal",
    "seal",
    "ShownField",
    "Shown",
    "UNKNOWN",
    "SHOWN",
    "COUNT_LIMIT",
    "LIVE_SECONDS",
    "NOTHING",
    "BoundedCount",
    "BoundedPaginator",
    "BoundedSearch",
    "Concern",
    "Finding",
    "FramedNotFound",
    "GivenKeys",
    "Groups",
    "Happening",
    "Happenings",
    "JobsPanelMixin",
    "KeyedChangeList",
    "KeyedSelect",
    "LiveRecordMixin",
    "OutagesMiddleware",
    "Preview",
    "Result",
    "ShownMoments",
    "TabsFilter",
    "Total",
    "address_of",
    "all_jobs",
    "audit_pages",
    "badge",
    "bulk_pages",
    "cause_pages",
    "chart_of_a_day",
    "chart_pages",
    "failed_jobs",
    "happenings_about",
    "lists_finding",
    "live_answer",
    "log_change",
    "mask_address",
    "mask_addresses",
    "names_kinds",
    "outage_page",
    "processor_pages",
    "queue_pages",
    "register_finding",
    "sends_emails",
    "tells_perhaps_sent",
    "set_aside_pages",
    "stuck_jobs",
    "sums_concerns",
    "tabs_of_field",
    "tells_concerns",
    "tells_preview",
    "tells_quiet_hours",
    "tells_results",
    "time_tag",
    "worker_pages",
]
