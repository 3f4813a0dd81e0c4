"""Inviting customers row by row: the rows of one customer with one message become one invitation."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from associations.invitations import actions as invitations
from associations.jobs.actions.ids import Ids
from associations.jobs.models import Job, JobRow
from associations.record.models import Association
from por.accounts.models import Actor
from por.errors import Refused
from por.web.filters import guids_for, several_begin

#: Why a subscription cannot be invited for, in a row of its own.
REFUSALS = {
    "subscription_not_found": gettext_lazy("This subscription does not belong to this customer. Check both IDs."),
    "subscription_expired": gettext_lazy("This subscription has expired."),
    "already_invited": gettext_lazy(
        "You have already invited this customer for this subscription, and they have not answered yet."
    ),
}


class Inviting:
    """The invitations of a job.

    Limits are those of a single invitation. A dry run shows what exists without any effect, so the customers that dry
    runs find in a day are limited as well.
    """

    def __init__(self, actor: Actor, rows: Sequence[JobRow], ids: Ids, first: dict[uuid.UUID, int]) -> None:
        self.actor, self.ids = actor, ids
        self.groups: dict[tuple[uuid.UUID, str], list[JobRow]] = defaultdict(list)
        for row in rows:
            tenants, subscriptions = ids.tenant(row), ids.subscription(row)
            if len(tenants) == len(subscriptions) == 1 and first[subscriptions[0]] == row.row:
                self.groups[tenants[0], row.reason].append(row)

    def invite(self, row: JobRow, *, is_trial: bool) -> list[JobRow]:
        """Invite for this row and those after it that can go with it; return them. Raise Refused for this row."""
        tenants = self.ids.tenant(row)
        if len(tenants) != 1:
            raise _no_tenant(row.tenant_id, is_ambiguous=len(tenants) > 1)
        tenant_id = tenants[0]
        if is_trial:
            self._check_trial(row.job, tenant_id)
        waiting = [one for one in self.groups[tenant_id, row.reason] if not one.outcome]
        ids = {one.row: self.ids.subscription(one)[0] for one in waiting}
        held = self._held(ids.values())
        if ids[row.row] in held:
            row.outcome = "unchanged"
            return [row]
        obstacles = invitations.obstacles(tenant_id, list(ids.values()), by=self.actor)
        if code := obstacles.get(ids[row.row]):
            raise Refused(code, REFUSALS[code])
        together = [one for one in waiting if ids[one.row] not in obstacles and ids[one.row] not in held][
            : invitations.MOST
        ]
        sent = invitations.invite(tenant_id, [ids[one.row] for one in together], by=self.actor, message=row.reason)
        for one in together:
            one.outcome, one.invitation = "invited", sent.invitation_id
        return together

    def _held(self, subscription_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        """Return those of which the partner is the partner of record already, as it knows."""
        own = Association.objects.open().of_record().filter(partner=self.actor.organisation_id)
        these = own.filter(subscription__subscription_id__in=list(subscription_ids))
        return {one for one in these.values_list("subscription__subscription_id", flat=True) if one}

    def _check_trial(self, job: Job, tenant_id: uuid.UUID) -> None:
        """Raise Refused if no more invitations could be sent today, or dry runs have found too many customers today."""
        tried = JobRow.objects.filter(
            job__organisation=job.organisation_id, job__dry_run=True, invitation__isnull=False
        )
        would_go = tried.filter(job=job).values("invitation").distinct().count()
        since = timezone.now() - timedelta(days=1)
        texts = tried.filter(job__asked_at__gt=since).values_list("tenant_id", flat=True).distinct()
        found = {one for text in texts for one in guids_for(text, self.ids.tenants)}
        if tenant_id not in found and len(found) >= invitations.A_DAY:
            raise invitations.too_many()
        if invitations.sent_in_a_day(job.organisation_id) + would_go >= invitations.A_DAY:
            raise invitations.too_many()


def _no_tenant(text: str, *, is_ambiguous: bool) -> Refused:
    if is_ambiguous:
        return Refused("tenant_id_ambiguous", several_begin(text))
    return Refused("tenant_id_malformed", _("This is not a valid tenant ID."))
