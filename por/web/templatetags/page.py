"""What stands around the content of every page: `{% load page %}`.

Its markup is the same on most pages, so it is written once and remembered. What people enter is only put in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.template.defaulttags import CsrfTokenNode
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from por.web.frames import Frame
from por.web.templatetags.ui import initials

register = template.Library()

_HEADER = Frame("ui/header.html", "csrf", "organisation", "others", "person", "initials", "email", "next")


@register.simple_tag(takes_context=True)
def page_header(context: Any) -> SafeString:
    """Return the header: the reader's organisation and account, the search, the languages and the theme."""
    actor, user, memberships = context["actor"], context["actor"].user, context["memberships"]
    csrf = CsrfTokenNode().render(context)
    others = {"csrf": csrf, "actor": actor, "memberships": memberships}
    cells = {
        "csrf": csrf,
        "organisation": actor.organisation.name if actor.organisation else "",
        "others": render_to_string("ui/switch.html", others) if len(memberships) > 1 else "",
        "person": str(user) if user else "",
        "initials": initials(str(user)) if user else "",
        "email": user.email if user else "",
        "next": context["request"].get_full_path() if "request" in context else "",
    }
    return _HEADER.render(
        [cells],
        has_navigation=bool(context["navigation"]),
        has_organisation=bool(actor.organisation),
        has_others=bool(cells["others"]),
        has_person=bool(user),
        search=context["search"],
        LANGUAGE=get_language(),
        LANGUAGES=tuple(settings.LANGUAGES),
    )


@register.simple_tag(takes_context=True)
def page_navigation(context: Mapping[str, Any]) -> SafeString:
    """Return the links of the reader, with the number of what waits there."""
    return _navigation(tuple(context["navigation"]), context["role_name"], context["DEMO"], get_language())


@lru_cache(256)
def _navigation(groups: tuple[Any, ...], role_name: str, demo: bool, _language: str | None) -> SafeString:
    return render_to_string("ui/navigation.html", {"navigation": groups, "role_name": role_name, "DEMO": demo})
