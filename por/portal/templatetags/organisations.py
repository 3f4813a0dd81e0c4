"""The rows of the staff's lists of customers and partners, as frames: `{% load organisations %}`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from django import template
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from por.directory.templatetags import partner_status, place
from por.portal.queries import CustomerRow, PartnerRow
from por.web.formatting import NONE, country_text
from por.web.frames import Frame, filled
from por.web.templatetags import ui

register = template.Library()

_PARTNER = Frame(
    "portal/_staff_partner_row.html",
    *("avatar", "url", "name", "mpn_id", "kind", "place", "market", "locations", "customers", "of_record", "status"),
)
_CUSTOMER = Frame(
    "portal/_staff_customer_row.html",
    *("avatar", "url", "name", "short_id", "domain", "country", "subscriptions", "without_partner"),
)


@register.simple_tag
def staff_partner_rows(rows: Iterable[PartnerRow]) -> SafeString:
    """Return the rows of partners with their figures."""
    return _PARTNER.render(map(_partner_cells, rows))


def _partner_cells(row: PartnerRow) -> dict[str, str]:
    partner, name = row.partner, row.partner.organisation.name
    before, after = _around("portal:staff_partner_detail")
    is_account = partner.kind == partner.Kind.GLOBAL
    return {
        "avatar": ui.avatar(name, "sm"),
        "url": f"{before}{partner.mpn_id}{after}",
        "name": name,
        "mpn_id": partner.mpn_id,
        "kind": partner.get_kind_display(),
        "place": place(partner),
        "market": partner.get_market_display() or NONE,
        "locations": ui.number(row.locations) if is_account else filled('<span class="muted">{}</span>', NONE),
        "customers": ui.number(row.customers),
        "of_record": ui.number(row.of_record),
        "status": partner_status(partner),
    }


@lru_cache
def _around(page: str) -> tuple[str, str]:
    """Return what stands before and after the MPN ID in the address of a page."""
    before, after = reverse(page, args=["0"]).split("0")
    return before, after


@register.simple_tag
def staff_customer_rows(rows: Iterable[CustomerRow]) -> SafeString:
    """Return the rows of customers with the numbers of their subscriptions, each a link to these."""
    return _CUSTOMER.render(map(_customer_cells, rows))


def _customer_cells(row: CustomerRow) -> dict[str, str]:
    customer, name = row.customer, row.customer.organisation.name
    return {
        "avatar": ui.avatar(name, "sm"),
        "url": ui.address("portal:staff_customer_detail", customer.tenant_id),
        "name": name,
        "short_id": ui.short_id(customer.tenant_id),
        "domain": customer.domain or NONE,
        "country": country_text(customer.country) or NONE,
        "subscriptions": _link(row, row.subscriptions, "?"),
        "without_partner": _link(row, row.without_partner, "?view=no_partner&"),
    }


def _link(row: CustomerRow, count: int, query: str) -> str:
    """Return the number as a link to the subscriptions that it counts; none if it is 0."""
    if not count:
        return ui.number(0)
    return filled(
        '<a href="{}{}tenant_id={}">{}<span class="vh"> {}</span></a>',
        reverse("associations:staff_subscription_list"),
        query,
        row.customer.tenant_id,
        ui.number(count),
        _("for %(name)s") % {"name": row.customer.organisation.name},
    )
