"""A customer's home and its partners."""

from __future__ import annotations

from django.db.models import Count, Exists, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from associations.change_requests import queries as change_requests
from associations.claims.queries import customers as claims
from associations.invitations import queries as invitations
from associations.record import timeline
from associations.record.access import newest_events
from associations.record.models import Association
from associations.record.rules import AssociationKind
from por.accounts.guards import only
from por.accounts.middleware import Request
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Partner
from por.portal.queries import FEW, OwnSubscriptions, waiting
from por.web.filters import AsOfForm
from por.web.lists import Listing, counted, partners_text, subscriptions_text
from por.web.pages import as_of_context

THREE = 3  # cards of what the customer can do; renewals, also listed below, then have none


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_home(request: Request) -> HttpResponse:
    actor = request.actor
    own = OwnSubscriptions(actor, timezone.localdate())
    total, without_count, renewing_count = own.counts()
    without_title = ngettext(
        "%(n)s subscription has no partner", "%(n)s subscriptions have no partner", without_count
    ) % {"n": counted(without_count)}
    renewing_title = ngettext(
        "%(n)s subscription renews within 90 days", "%(n)s subscriptions renew within 90 days", renewing_count
    ) % {"n": counted(renewing_count)}
    request.waiting = waiting(actor)
    asked = request.waiting["help"]
    asked_title = ngettext(
        "%(n)s change request waits for your answer", "%(n)s change requests wait for your answer", asked
    ) % {"n": counted(asked)}
    invited = invitations.waiting_for(actor, 2)
    claimed = claims.waiting_for_consent(actor, 2)
    return render(
        request,
        "portal/customer_home.html",
        {
            "total": total,
            "total_text": subscriptions_text(total),
            "may_attach": actor.may(Right.ATTACH),
            "question": next(iter(change_requests.next_due(actor, 1)), None),
            "several_title": asked_title if asked > 1 else "",
            "invitations": invited,
            "claims": claimed,
            "claim_deadline": claims.deadline_of(claimed[0]) if claimed else None,
            "without_title": without_title if without_count else "",
            "without_all": _all_of(without_count),
            "without": own.without_partner() if without_count else [],
            "renewing_title": renewing_title if renewing_count else "",
            "has_three": sum(map(bool, (asked, invited, claimed, without_count))) >= THREE,
            "renewing_all": _all_of(renewing_count),
            "renewing": own.renewing() if renewing_count else [],
            "events": timeline.items(actor, newest_events(actor, FEW)),
        },
    )


def _all_of(count: int) -> str:
    """Return the text of the link to the whole list; "" if the page shows all of it."""
    return _("See all %(n)s") % {"n": counted(count)} if count > FEW else ""


@require_safe
@only(OrganisationKind.CUSTOMER)
def customer_partners(request: Request) -> HttpResponse:
    """Show the customer's partners, now or on a day, and for how many subscriptions each is partner of record."""
    past = AsOfForm(request.GET)
    valid = past.is_valid()
    live = Association.objects.open(past.day).visible_to(request.actor)
    of_partner = live.filter(partner=OuterRef("pk"))
    partners = (
        Partner.objects.filter(Exists(of_partner))
        .select_related("organisation")
        .annotate(
            of_record=Coalesce(
                Subquery(of_partner.of_record().values("partner").annotate(n=Count("pk")).values("n")), 0
            )
        )
    )
    shown = Listing(request, partners, order=("organisation__name", "pk"), count_text=partners_text)
    page = shown.page
    approved = claims.approved_by_partner(request.actor, [partner.pk for partner in page.rows], past.day)
    kinds: dict[int, list[str]] = {}
    administrators: dict[int, int] = {}
    for association in (
        live.filter(partner__in=[partner.pk for partner in page.rows]).order_by("kind").distinct("kind", "partner")
    ):
        kinds.setdefault(association.partner_id, []).append(association.get_kind_display())
        if association.kind == AssociationKind.DELEGATED_ADMIN:
            administrators[association.partner_id] = association.pk
    return render(
        request,
        "portal/customer_partners.html",
        {
            **shown.context,
            "partners": [(partner, kinds.get(partner.pk, []), administrators.get(partner.pk)) for partner in page.rows],
            "approved": approved,
            "form": past,
            **as_of_context(request, past),
        },
        status=200 if valid else 422,
    )
