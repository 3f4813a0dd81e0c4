"""The event of a job."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from django.utils.translation import gettext_lazy as _

from associations.record.events import ATTACHED
from por.history.events import EventType, Link, register


class JobEvent(EventType):
    REQUESTED = "bulk.requested"


class JobRequested(TypedDict):
    rows: int
    dry_run: bool
    action: NotRequired[str]  # earlier jobs attached


register(
    JobEvent.REQUESTED,
    payload=JobRequested,
    about=("job",),
    here=_("Rows sent for many subscriptions at once"),
    elsewhere=_("Rows sent for many subscriptions at once (job {object})"),
    icon="upload",
    tone="info",
    groups=(ATTACHED,),
    link=Link("job", customer="associations:job", partner="associations:partner_job"),
    mails=(),
)
