"""The rows of the gap finder, as frames: `{% load gaps %}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from associations.gaps.queries import Gap
from por.accounts.rules import OrganisationKind, Right
from por.directory.models import Subscription
from por.directory.templatetags import Cells
from por.web.frames import Frame, filled
from por.web.templatetags import ui

register = template.Library()

_GAPS = Frame(
    "gaps/_row.html",
    *("url", "customer", "product", "short_id", "tile", "name", "seats", "renewal", "why", "since", "to_do"),
)
_INVITE = Frame("invitations/_invite.html", "tenant_id", "subscription_id", "customer", "name")
#: The page of a subscription, for each kind of reader.
_PAGES = {
    OrganisationKind.CUSTOMER: "associations:subscription_detail",
    OrganisationKind.PARTNER: "associations:partner_subscription_detail",
    OrganisationKind.STAFF: "associations:staff_subscription_detail",
}


@register.simple_tag(takes_context=True)
def gap_rows(context: Mapping[str, Any]) -> SafeString:
    """Return a row for each gap: the subscription, why it is one and since when, and what to do."""
    cells, kind = Cells(), context["actor"].kind
    shown = (_gap_cells(context, cells, gap, kind) for gap in context["gaps"])
    return _GAPS.render(shown, of_customer=kind == OrganisationKind.CUSTOMER)


def _gap_cells(context: Mapping[str, Any], cells: Cells, gap: Gap, kind: str) -> dict[str, str]:
    subscription = gap.subscription
    url = cells.url(_PAGES[OrganisationKind(kind)], subscription)
    if kind == OrganisationKind.CUSTOMER:
        named = {"name": str(cells.name(subscription, url, context["as_of_query"]))}
    else:
        named = {
            "url": url,
            "customer": subscription.customer.organisation.name,
            "product": subscription.name,
            "short_id": cells.short_id(subscription),
            "tile": ui.product_tile(subscription.product, "sm"),
        }
    why = str(gap.why.label)
    if gap.partner and kind != OrganisationKind.PARTNER:
        why = filled('{}<br><span class="tiny muted">{}</span>', why, gap.partner.organisation.name)
    return {
        **named,
        "seats": cells.seats(subscription),
        "renewal": cells.renewal(subscription),
        "why": why,
        "since": ui.day(gap.since),
        "to_do": filled("{} {} {}", gap.to_do, _predecessors(context, gap), _button(context, gap, url)),
    }


def _predecessors(context: Mapping[str, Any], gap: Gap) -> str:
    """Return which subscriptions it has probably renewed; empty if there is none."""
    if not gap.predecessors:
        return ""
    given = {name: context.get(name) for name in ("actor", "may_attach", "csrf_token")}
    return render_to_string("gaps/_predecessors.html", {**given, "gap": gap, "subscription": gap.subscription})


def _button(context: Mapping[str, Any], gap: Gap, url: str) -> str:
    """Return the button with which a reader does something about a gap; empty if they cannot."""
    actor, subscription = context["actor"], gap.subscription
    if not gap.can_attach:
        return ""
    if actor.kind == OrganisationKind.PARTNER and actor.may(Right.INVITE):
        return _INVITE.render([_invited(subscription)])
    if actor.kind == OrganisationKind.CUSTOMER and context["may_attach"]:
        text = filled('{}<span class="vh">: {}</span>', _("Attach partner"), subscription.name)
        return filled('<a class="btn btn--s" href="{}">{}{}</a>', url, ui.icon("link"), text)
    return ""


def _invited(subscription: Subscription) -> dict[str, str]:
    return {
        "tenant_id": str(subscription.customer.tenant_id),
        "subscription_id": str(subscription.subscription_id),
        "customer": subscription.customer.organisation.name,
        "name": subscription.name,
    }
