"""Tables of subscriptions: `{% load rows %}`. The rows are frames, because a page has up to fifty of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from associations.record.queries import CAN_LACK, Row
from associations.subscriptions.queries import ENDING
from por.accounts.rules import OrganisationKind
from por.directory.templatetags import Cells, missing
from por.web import charts
from por.web.filters import FilterForm
from por.web.formatting import NONE, month_text
from por.web.frames import Frame, filled
from por.web.templatetags import ui

register = template.Library()

_CUSTOMERS = Frame(
    "subscriptions/_row.html", "key", "label", "name", "agreement", "seats", "used", "partner", "status", "renewal"
)
_PARTNERS = Frame(
    "subscriptions/_partner_row.html",
    *(
        "key",
        "label",
        "name",
        "url",
        "customer",
        "product",
        "short_id",
        "tile",
        "used",
        "trend",
        "seats",
        "status",
        "renewal",
    ),
    "partner",
)


#: What the rows take from the context of their page. They look it up hundreds of times.
_FROM_PAGE = ("as_of", "as_of_query", "questions", "with_trend")


@register.simple_tag(takes_context=True)
def customer_rows(context: Mapping[str, Any], legacy: str) -> SafeString:
    """Return the rows of a customer's list; `legacy` is the text about a legacy form."""
    rows: Iterable[Row] = context["rows"]
    page = {name: context.get(name) for name in _FROM_PAGE}
    selectable = bool(context["may_attach"] and not page["as_of"])
    cells = Cells()
    shown = (_customer_cells(page, cells, row, legacy) for row in rows)
    return _CUSTOMERS.render(shown, selectable=selectable)


def _customer_cells(page: Mapping[str, Any], cells: Cells, row: Row, legacy: str) -> dict[str, str]:
    subscription, record = row.subscription, row.record
    url = cells.url("associations:subscription_detail", subscription)
    if record is None:
        partner = _no_partner(page, cells, row)
    else:
        partner = filled(
            "<span>{}{}{}</span>",
            record.partner.organisation.name,
            filled(" {}", _badges(cells.language)["own"]) if record.is_own_tenant else "",
            _request(page, row, "associations:change_request"),
        )
    return {
        "key": subscription.id_text,
        "label": f"{subscription.name}, {cells.short_id(subscription)}",
        "name": cells.name(subscription, url, page["as_of_query"] or ""),
        "agreement": cells.agreements[subscription.agreement],
        "partner": _with_form(partner, row, legacy),
        **_common_cells(page, cells, row),
    }


@register.simple_tag(takes_context=True)
def partner_rows(context: Mapping[str, Any], legacy: str) -> SafeString:
    """Return the rows of a table with customers, for a partner or for staff, as _partner_table.html describes it."""
    flags = {name: bool(context.get(name)) for name in ("of_customer", "with_trend")}
    page, cells = {name: context.get(name) for name in _FROM_PAGE}, Cells()
    actor = context["actor"]
    page |= {"pages": _PAGES[actor.kind], "own": actor.organisation_id}
    shown = (_partner_cells(page, cells, row, legacy, **flags) for row in context["rows"])
    return _PARTNERS.render(shown, selectable=bool(context.get("selectable")), **flags)


def _partner_cells(
    page: Mapping[str, Any], cells: Cells, row: Any, legacy: str, *, of_customer: bool, with_trend: bool
) -> dict[str, str]:
    subscription = row.subscription
    name, short_id = subscription.name, cells.short_id(subscription)
    address, page_of_request = page["pages"]
    url = cells.url(address, subscription)
    query, customer = page["as_of_query"] or "", subscription.customer.organisation.name
    if of_customer:
        named = {"name": str(cells.name(subscription, url, query))}
    else:
        named = {
            "url": f"{url}{query}" if query else url,
            "customer": customer,
            "product": name,
            "short_id": short_id,
            "tile": ui.product_tile(subscription.product, "sm"),
        }
    trend = {"trend": charts.spark(row.trend)} if with_trend else {}
    partner: SafeString | str = _holder(page, cells, row)
    if request := _request(page, row, page_of_request):
        partner = filled("{}{}", partner, request)
    partner = _with_form(partner, row, legacy)
    common = _common_cells(page, cells, row)
    if with_trend and subscription.status in ENDING:  # there is no column of the status
        common["renewal"] = filled("{}<br>{}", common["renewal"], common["status"])
    chosen = {"key": subscription.id_text, "label": f"{customer}, {name}, {short_id}"}
    return {**chosen, **named, **trend, "partner": partner, **common}


#: The pages of a subscription and of a change request, for those who see rows of many customers.
_PAGES = {
    OrganisationKind.PARTNER: ("associations:partner_subscription_detail", "associations:partner_change_request"),
    OrganisationKind.STAFF: ("associations:staff_subscription_detail", "associations:staff_change_request"),
}


def _no_partner(page: Mapping[str, Any], cells: Cells, row: Any) -> SafeString:
    """Return "no partner" as the list and its counts mean it; a dash for a row that can have none."""
    lacks = page["as_of"] or row.subscription.status in CAN_LACK
    return _badges(cells.language)["none" if lacks else "cannot"]


def _holder(page: Mapping[str, Any], cells: Cells, row: Any) -> SafeString:
    """Return who is the partner of record, as the reader may know it."""
    if row.record is None:
        if getattr(row, "hidden", False):
            return filled('<span class="muted">{}</span>', _("Another partner"))
        return _no_partner(page, cells, row)
    if row.record.is_own_tenant:
        return _badges(cells.language)["of_itself"]
    began_at = row.record.began_at
    if row.record.partner_id == page["own"]:  # a reader's own name says nothing in each row
        return filled("<span>{}</span>", cells.day(began_at) if page["with_trend"] else cells.since(began_at))
    name = row.record.partner.organisation.name
    return filled('<span>{}<br><span class="tiny muted">{}</span></span>', name, cells.since(began_at))


# --- Filters --------------------------------------------------------------------------------------------------------

#: What the address may have beside the filters that are shown, and the filters that not every list has.
_HIDDEN, _SOME = ("tenant_id", "partner_of_record", "renews_before"), ("months", "as_of")
_CHOICES = ("product", "agreement", "status")
_FILTERS = Frame(
    "subscriptions/_filter_bar.html",
    *("path", "view", *_HIDDEN, "hint", "search", *_CHOICES, *_SOME, "as_of_label", "count_text", "csv_url"),
)


@register.simple_tag(takes_context=True)
def subscription_filters(context: Mapping[str, Any], hint: str) -> SafeString:
    """Return the filters of a list of subscriptions in one row, with its count."""
    form, tab = context["form"], context["view"]
    given = {name: form.data.get(name) or "" for name in (*_HIDDEN, "search")}
    there = {name: name in form.fields for name in _SOME}
    cells = {
        **given,
        **{name: _field(form, name) for name in _CHOICES},
        **{name: _field(form, name) if there[name] else "" for name in _SOME},
        "as_of_label": str(form.fields["as_of"].label) if there["as_of"] else "",
        "path": context["request"].path,
        "view": tab.key if tab else "",
        "hint": hint,
        "count_text": context["count_text"],
        "csv_url": context["csv_url"],
    }
    flags = {f"has_{name}": bool(cells[name]) for name in ("view", *_HIDDEN, *_SOME)}
    return _FILTERS.render([cells], search_failed="search" in form.errors, **flags)


@register.simple_tag
def subscription_choices(form: FilterForm) -> SafeString:
    """Return the selects of a list of subscriptions with their labels, for a page that leads to the list."""
    return mark_safe("\n".join(_choice(type(form), name, get_language()) for name in _CHOICES))


@lru_cache(64)
def _choice(form: type[FilterForm], name: str, language: str | None) -> SafeString:
    field, select = form()[name], _empty_or_chosen(form, name, "", language)
    return format_html('<label class="vh" for="{}">{}</label>{}', field.id_for_label, field.label, select)


def _field(form: FilterForm, name: str) -> SafeString:
    """Return the input of a filter. That of a value that fits is remembered; there are no more than choices.

    A day is remembered only where none is given.
    """
    value = form.data.get(name) or ""
    if name in form.errors or (value and name not in (*_CHOICES, "months")):
        return form[name].as_widget()
    return _empty_or_chosen(type(form), name, value, get_language())


@lru_cache(512)
def _empty_or_chosen(form: type[FilterForm], name: str, value: str, _language: str | None) -> SafeString:
    return form({name: value})[name].as_widget()


# --- Usage ----------------------------------------------------------------------------------------------------------

_USAGE = Frame("portal/_usage_row.html", "name", "own", "month", "used", "share", "consumption")
_FIGURES = Frame("portal/_figures_row.html", "month", "name", "paid", "active", "share", "consumption", "corrected")


@register.simple_tag(takes_context=True)
def usage_rows(context: Mapping[str, Any]) -> SafeString:
    """Return the rows of the page about the usage of many subscriptions: the newest month of each."""
    cells, page, query = Cells(), context["usage_page"], context["as_of_query"]

    def shown(row: Any) -> dict[str, str]:
        one, month = row.subscription, row.usage
        customer = one.customer.organisation.name if context["of_partner"] else ""
        return {
            "name": cells.name(one, cells.url(page, one), query, customer),
            "own": _badges(cells.language)["of_itself"] if row.own_use else "",
            "month": month_text(month.month) if month else NONE,
            "used": ui.use(month.active_users, month.paid_units) if month else NONE,
            "share": ui.percent(month.active_users, month.paid_units) if month else NONE,
            "consumption": ui.money(month.consumed_usd, "USD") if month else NONE,
        }

    return _USAGE.render(map(shown, context["rows"]), has_money=bool(context["money"].series))


@register.simple_tag(takes_context=True)
def figure_rows(context: Mapping[str, Any]) -> SafeString:
    """Return the rows of the table of all figures by month and workload."""
    running = None if context["as_of"] else context["running"]
    so_far = filled(' <span class="tiny muted">{}</span>', _("so far"))

    def shown(one: Any) -> dict[str, str]:
        month = month_text(one.month)
        return {
            "month": filled("{}{}", month, so_far) if one.month == running else month,
            "name": one.name,
            "paid": ui.number(one.paid_units),
            "active": ui.number(one.active_users),
            "share": ui.percent(one.active_users, one.paid_units),
            "consumption": ui.money(one.consumed_usd, "USD"),
            "corrected": ui.moment(one.corrected_at) if one.corrected_at else NONE,
        }

    flags = {"has_money": bool(context["money"].series), "has_corrections": bool(context.get("subscription"))}
    return _FIGURES.render(map(shown, context["rows_of_figures"]), **flags)


@lru_cache
def _badges(_language: str | None) -> dict[str, SafeString]:
    return {
        "none": ui.badge("neutral", _("No partner"), dash=True),
        "cannot": format_html('<span class="muted">{}</span>', NONE),
        "own": ui.badge("neutral", _("Own use")),
        "of_itself": ui.badge("neutral", _("Own use (competencies only)"), icon="building"),
    }


def _common_cells(page: Mapping[str, Any], cells: Cells, row: Any) -> dict[str, str]:
    subscription = row.subscription
    status: SafeString | str = cells.status(subscription)
    if words := subscription.missing_since and missing(subscription, page["as_of"]):
        status = filled('{}<br><span class="tiny warnt">{}</span>', status, words)
    return {
        "seats": cells.seats(subscription),
        "used": cells.used(row.usage),
        "status": status,
        "renewal": cells.renewal(subscription),
    }


def _request(page: Mapping[str, Any], row: Any, address: str) -> SafeString | str:
    """Return the link to the open change request of a row; empty if the reader may see none."""
    questions = page["questions"]
    if not questions or row.subscription.pk not in questions:
        return ""
    given = {"questions": questions, "subscription": row.subscription, "page": address}
    return render_to_string("subscriptions/_request_badge.html", given)


def _with_form(partner: str, row: Any, legacy: str) -> SafeString | str:
    """Return the cell of the partner of record, with the text about the row's legacy form below it, if it has one."""
    if not getattr(row, "form", None):
        return partner
    return filled('{}<br><span class="tiny warnt">{}</span>', partner, legacy)
