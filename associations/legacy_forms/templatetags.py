"""Legacy forms on the pages of subscriptions and partners: `{% load legacy %}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from django import template
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from associations.record.access import Reader
from associations.record.models import Association, AssociationQuerySet
from associations.record.policies import forms_earn_nothing_since, policy_on
from associations.record.rules import AssociationKind
from por.db.prepared import Param, PreparedQuery
from por.directory.models import Subscription
from por.web.formatting import day_text

register = template.Library()


@register.simple_tag(takes_context=True)
def legacy_forms(context: Mapping[str, Any], subscription: Subscription) -> list[Association]:
    """Return the legacy forms in force on the page's day that its reader may know of, newest first."""
    actor, as_of = context["actor"], context.get("as_of")
    if as_of is None:
        return _forms(Reader.of(actor)).all(organisation=actor.organisation_id, subscription=subscription.pk)
    return list(_newest_first(Association.objects.open(as_of).visible_to(actor), subscription.pk))


@lru_cache(maxsize=256)
def _forms(reader: Reader) -> PreparedQuery[Association]:
    seen = Association.objects.open().visible_to(reader.actor())
    return PreparedQuery(lambda: _newest_first(seen, Param("subscription")))


def _newest_first(seen: AssociationQuerySet, subscription: int | Param) -> AssociationQuerySet:
    return seen.forms().filter(subscription=subscription).for_listing().order_by("-began_at", "-pk")


@register.simple_tag(takes_context=True)
def legacy_text(context: Mapping[str, Any]) -> str:
    """Return the text about what a legacy form is worth on the page's day."""
    return _legacy_text(context.get("as_of") or timezone.localdate(), get_language())


@lru_cache
def _legacy_text(day: date, _language: str | None) -> str:
    if since := forms_earn_nothing_since(day):
        return _("Legacy form: no incentives since %(day)s") % {"day": day_text(since)}
    return _("Legacy form: must be moved by %(day)s") % {"day": day_text(policy_on(day).legacy_form_deadline)}


@register.filter
def has_form(kinds: Iterable[str]) -> bool:
    """Return whether the legacy form is among these kinds, given by their labels."""
    return str(AssociationKind.OSA_FORM.label) in kinds
