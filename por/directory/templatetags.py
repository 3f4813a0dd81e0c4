"""Subscriptions in the rows of lists. A page shows these parts up to fifty times, so they are tags, not includes."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from por.db.models import words_of
from por.directory.models import Partner, Subscription
from por.directory.rules import missing_by
from por.web.formatting import NONE, country_text, day_of, day_text, days_left_text, money_text
from por.web.frames import filled
from por.web.templatetags import ui

register = template.Library()


class Cells:
    """What rows of subscriptions show, in one language and on one day, which are found once for all rows."""

    def __init__(self) -> None:
        self.language, self.today = get_language(), timezone.localdate()
        self.zone = timezone.get_current_timezone()
        self.products, self.agreements, self.statuses = (
            _words(name, self.language) for name in ("product", "agreement", "status")
        )

    def name(self, subscription: Subscription, url: str, query: str = "", customer: str = "") -> SafeString:
        """Return the name of a subscription as a link, above its product, or customer, and the beginning of its ID."""
        return filled(
            '<span class="cell2">{}<span><a href="{}">{}</a>'
            '<span class="muted tiny">{} · <span class="id">{}</span></span></span></span>',
            ui.product_tile(subscription.product, "sm"),
            url + query if query else url,
            subscription.name,
            customer or self.products[subscription.product],
            self.short_id(subscription),
        )

    def short_id(self, subscription: Subscription) -> SafeString:
        """Return the first eight digits of the ID."""
        return SafeString(subscription.id_text[:8])

    def url(self, page: str, subscription: Subscription) -> SafeString:
        """Return the address of a page about the subscription. Addresses of ours have nothing to be escaped."""
        return SafeString(ui.address(page, subscription.id_text))

    def seats(self, subscription: Subscription) -> SafeString:
        """Return the number of seats; a dash if it is unknown."""
        return _number(subscription.seats, self.language)

    def status(self, subscription: Subscription) -> SafeString:
        """Return the status as a badge."""
        return _status(subscription.status, self.statuses[subscription.status]) if subscription.status else _NOT_KNOWN

    def renewal(self, subscription: Subscription) -> SafeString:
        """Return when the subscription renews and, if it is soon, how soon."""
        has_ended = subscription.status == Subscription.Status.EXPIRED
        return _renewal(subscription.renews_on, has_ended, self.today, self.language)

    def day(self, value: datetime) -> SafeString:
        """Return the reader's day of an instant, for a reader and for machines."""
        return ui.day_in(day_of(value, self.zone), self.language)

    def since(self, value: datetime) -> SafeString:
        """Return the words that say since which day something is so."""
        return ui.since_in(day_of(value, self.zone), self.language)

    def used(self, usage: Any) -> SafeString | str:
        """Return the active and paid seats of a month, or what was consumed in it; a dash if neither is known."""
        if usage and usage.active_users is not None:
            return ui.use_in(usage.active_users, usage.paid_units, self.language)
        if usage and usage.consumed_usd is not None:
            return money_text(usage.consumed_usd, "USD")
        return _NOT_KNOWN


@lru_cache
def _words(field: str, language: str | None) -> dict[str, SafeString]:
    words = words_of(Subscription._meta.get_field(field), language)
    return {value: format_html("{}", word) for value, word in words.items()}


@lru_cache(4096)
def _number(value: int | None, _language: str | None) -> SafeString:
    return format_html("{}", ui.number(value))


_NOT_KNOWN = format_html('<span class="muted">{}</span>', NONE)


@register.simple_tag
def subscription_name(subscription: Subscription, url: str, query: str = "") -> SafeString:
    return Cells().name(subscription, url, query)


@register.simple_tag
def subscription_status(subscription: Subscription) -> SafeString:
    return Cells().status(subscription)


@lru_cache
def _status(status: str, word: str) -> SafeString:
    tone, icon = {"active": ("ok", "check"), "expired": ("neutral", "")}.get(status, ("warn", "alert"))
    return ui.badge(tone, word, icon)


@register.simple_tag
def partner_status(partner: Partner) -> SafeString:
    """Return the status of a partner as a badge."""
    return _partner_status(partner.status, partner.get_status_display())


@lru_cache
def _partner_status(status: str, word: str) -> SafeString:
    tone, icon = {"active": ("ok", "check"), "suspended": ("warn", "alert")}.get(status, ("neutral", ""))
    return ui.badge(tone, word, icon)


@register.simple_tag
def place(partner: Partner) -> str:
    """Return where a partner is: its city and country, as far as they are known."""
    return ", ".join(filter(None, [partner.city, country_text(partner.country)]))


@register.simple_tag
def missing(subscription: Subscription, as_of: date | None = None) -> str:
    """Return since when the last complete file of its customer does not name a subscription; "" if it does."""
    since = missing_by(subscription.missing_since, as_of)
    return _("Not in the last file since %(day)s") % {"day": day_text(since)} if since else ""


@register.simple_tag
def renewal(subscription: Subscription) -> SafeString:
    return Cells().renewal(subscription)


@lru_cache(4096)
def _renewal(day: date | None, has_ended: bool, _today: date, _language: str | None) -> SafeString:
    left = "" if has_ended else days_left_text(day)
    soon = format_html('<br><span class="tiny warnt">{}</span>', left) if left else ""
    return format_html("<span>{}{}</span>", ui.day(day), soon)


@register.simple_tag
def used(usage: Any) -> SafeString | str:
    return Cells().used(usage)
