"""Events as text, on the pages of every room: `{% load happened %}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.utils.safestring import SafeString

from associations.record import timeline
from por.history.models import Event

register = template.Library()


@register.inclusion_tag("ui/timeline.html", takes_context=True)
def happened(context: Mapping[str, Any], events: Iterable[Event]) -> dict[str, Any]:
    """Draw the events as a timeline, as the reader of the page may read them."""
    return {"items": timeline.items(context["actor"], events)}


@register.simple_tag(takes_context=True)
def event_text(context: Mapping[str, Any], event: Event) -> SafeString:
    """Return one event as a sentence with its object as a link."""
    return timeline.items(context["actor"], [event])[0].sentence
