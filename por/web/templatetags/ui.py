"""The smallest parts of pages: icons, badges, dates, numbers, small graphics. They escape and format in one place.

Larger parts are includes in templates/ui/.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from django import template
from django.forms import BoundField, CheckboxInput, RadioSelect
from django.template.base import Node, Parser, Template, TextNode, Token
from django.template.context import Context
from django.template.defaulttags import URLNode
from django.template.defaulttags import url as djangos_url
from django.template.loader_tags import BLOCK_CONTEXT_KEY, BlockContext, BlockNode, ExtendsNode, do_extends
from django.templatetags.i18n import TranslateNode, do_translate
from django.templatetags.static import StaticNode, do_static
from django.urls import get_script_prefix, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from por.web import charts, formatting
from por.web.frames import Frame
from por.web.icons import ICONS

register = template.Library()

register.filter("day_text", formatting.day_text)
register.filter("moment_text", formatting.moment_text)
register.filter("month_text", formatting.month_text)
register.filter("number_text", formatting.number_text)
register.filter("country_text", formatting.country_text)
register.filter("days_left_text", formatting.days_left_text)
register.simple_tag(charts.bar, name="bar")
register.simple_tag(charts.spark, name="spark")

#: The two letters and the chart colour of each product.
TILES = {
    "office365": ("O3", 1),
    "intune": ("In", 2),
    "aadp": ("Ad", 3),
    "ems": ("Em", 4),
    "crm_online": ("Cr", 5),
    "azure": ("Az", 6),
}
#: How many background colours an avatar can have.
AVATARS = 6
#: Shares of seats in use below which a bar is shown as bad, or as a warning.
FEW, SOME = 0.4, 0.7
#: How Django's levels of message look.
TONES = {"success": "ok", "warning": "warn", "error": "bad"}
TONE_ICONS = {"ok": "ok", "warn": "alert", "bad": "alert", "info": "info"}


class Word(Node):
    """A text of a template, translated once for each language instead of every time it is shown."""

    def __init__(self, text: TranslateNode) -> None:
        self.text = text
        self.shown: dict[str | None, str] = {}

    def render(self, context: Context) -> str:
        language = get_language()
        found = self.shown.get(language)
        if found is None:
            found = self.shown[language] = self.text.render(context)
        return found


@register.tag
def translate(parser: Parser, token: Token) -> Node:
    """Return Django's tag of that name; where its text is always the same, one that remembers the translation."""
    text: TranslateNode = do_translate(parser, token)
    given = text.filter_expression
    is_constant = given.var.literal is not None and not given.filters
    return Word(text) if is_constant and text.message_context is None and text.asvar is None else text


class Address(Node):
    """The address of a page that depends on nothing, found once."""

    def __init__(self, url: URLNode) -> None:
        self.url = url
        self.found: dict[str, str] = {}

    def render(self, context: Context) -> str:
        prefix = get_script_prefix()
        found = self.found.get(prefix)
        if found is None:
            found = self.found[prefix] = self.url.render(context)
        return found


@register.tag("url")
def url_tag(parser: Parser, token: Token) -> Node:
    """Return Django's tag of that name; where its address is always the same, one that remembers it."""
    given: URLNode = djangos_url(parser, token)
    is_constant = isinstance(given.view_name.var, str)
    return Address(given) if is_constant and not (given.args or given.kwargs or given.asvar) else given


class File(Node):
    """The address of a file that the template names, found once."""

    def __init__(self, file: StaticNode) -> None:
        self.file = file
        self.found = ""

    def render(self, context: Context) -> str:
        self.found = self.found or self.file.render(context)
        return self.found


@register.tag("static")
def static_tag(parser: Parser, token: Token) -> Node:
    """Return Django's tag of that name; where its file is always the same, one that remembers the address."""
    given: StaticNode = do_static(parser, token)
    is_constant = isinstance(given.path.var, str) and not given.path.filters
    return File(given) if is_constant and given.varname is None else given


class Extends(ExtendsNode):
    """Django's node of that name, which finds the blocks of the template above once and not for each page."""

    def render(self, context: Context) -> SafeString:
        above: Any = self.get_parent(context)
        of_page: Any = context.render_context
        blocks = of_page.setdefault(BLOCK_CONTEXT_KEY, BlockContext())
        blocks.add_blocks(self.blocks)
        if above not in _blocks:
            first = next((one for one in above.nodelist if not isinstance(one, TextNode)), None)
            found: Any = [] if isinstance(first, ExtendsNode) else above.nodelist.get_nodes_by_type(BlockNode)
            _blocks[above] = {one.name: one for one in found}
        blocks.add_blocks(_blocks[above])
        with of_page.push_state(above, isolated_context=False):
            return SafeString(above._render(context))


#: The blocks of templates that extend no other, which those above a page are.
_blocks: MutableMapping[Template, dict[str, Any]] = WeakKeyDictionary()


@register.tag
def extends(parser: Parser, token: Token) -> Node:
    """Return Django's tag of that name, which remembers the blocks of the template above."""
    given: ExtendsNode = do_extends(parser, token)
    return Extends(given.nodelist, given.parent_name)


@register.simple_tag
@lru_cache(1024)
def icon(name: str, css: str = "") -> SafeString:
    """Return an icon. Screen readers skip it, so text must be beside it. `s` makes it small."""
    return format_html(
        '<svg class="{}" viewBox="0 0 20 20" aria-hidden="true" focusable="false">{}</svg>',
        f"i {css}".strip(),
        mark_safe(ICONS[name]),
    )


@register.simple_tag
def badge(tone: str, text: str, icon: str = "", dash: bool = False) -> SafeString:
    """Return a state as a word in a tone: `ok`, `warn`, `bad`, `info` or `neutral`; dashed if something is missing."""
    css = f"badge badge--{tone}" + (" badge--dash" if dash else "")
    return format_html('<span class="{}">{}{}</span>', css, _icon(icon) if icon else "", text)


_icon = icon


@register.simple_tag
@lru_cache
def product_tile(product: str, size: str = "") -> SafeString:
    """Return two letters in the product's colour, in place of a logo. The product's name must be beside it."""
    letters, colour = TILES[product]
    return format_html('<span class="{}" aria-hidden="true">{}</span>', f"tile tile--{colour} {size}".strip(), letters)


@register.simple_tag
def avatar(name: str, size: str = "") -> SafeString:
    """Return the initials of a person or organisation, always on the same colour for the same name."""
    colour = zlib.crc32(name.encode()) % AVATARS + 1
    return format_html(
        '<span class="{}" aria-hidden="true">{}</span>', f"ava ava--{colour} {size}".strip(), initials(name)
    )


@register.filter
def initials(name: str) -> str:
    """Return two initials: NC for Nordvik Cloud AB, Al for Almviks."""
    words = name.split()
    return "".join(word[0] for word in words[:2]).upper() if len(words) > 1 else name[:2].capitalize()


@register.simple_tag
def number(value: int | float | Decimal | None, decimals: int = 0, cap: int | None = None) -> str:
    """Return a number as the reader writes it; past the cap, the cap with a plus."""
    if cap is not None and value is not None and value > cap:
        return f"{formatting.number_text(cap)}+"
    return formatting.number_text(value, decimals)


@register.filter
def capped(count: int) -> str:
    """Return a count as lists show it: past 10,000, that number with a plus."""
    return number(count, cap=10_000)


@register.simple_tag
def money(amount: int | Decimal | None, currency: str) -> str:
    """Return an exact amount with its currency."""
    return formatting.money_text(amount, currency)


@register.simple_tag
def percent(part: int | Decimal | None, whole: int | Decimal | None) -> str:
    """Return the share of the part in the whole, in whole percent."""
    return formatting.percent_text(part, whole)


@register.simple_tag
def use(active: int | None, paid: int | None) -> SafeString:
    """Return how many of the paid seats are used, as numbers and as a bar that warns if they are few."""
    return format_html("{}", formatting.NONE) if active is None else use_in(active, paid, get_language())


@lru_cache(4096)
def use_in(active: int, paid: int | None, _language: str | None) -> SafeString:
    share = active / paid if paid else 1
    return format_html(
        '<span class="useb"><span><b>{}</b> <span class="muted">/ {}</span></span>{}</span>',
        formatting.number_text(active),
        formatting.number_text(paid),
        charts.bar(active, paid, "bad" if share < FEW else "warn" if share < SOME else ""),
    )


@register.simple_tag
def day(value: date | datetime | None, weekday: bool = False) -> SafeString:
    """Return a date as the reader writes it, and for machines."""
    if value is None:
        return format_html("{}", formatting.NONE)
    return day_in(formatting.day_of(value), get_language(), weekday)


@lru_cache(4096)
def day_in(value: date, _language: str | None, weekday: bool = False) -> SafeString:
    """Return a day in the active language, which the caller has looked up."""
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), formatting.day_text(value, weekday=weekday))


@register.simple_tag
def deadline(value: formatting.Deadline) -> SafeString:
    """Return a last day as the reader says it, and for machines."""
    return format_html('<time datetime="{}">{}</time>', value.day.isoformat(), formatting.deadline_text(value))


@register.simple_tag
def since(value: date | datetime) -> SafeString:
    """Return the words that say since which day something is so."""
    return since_in(formatting.day_of(value), get_language())


@lru_cache(4096)
def since_in(value: date, _language: str | None) -> SafeString:
    """Return the words of `since` in the active language, which the caller has looked up."""
    return mark_safe(_("since %(when)s") % {"when": day(value)})


@register.simple_tag
def moment(value: datetime | None, zone: bool = False) -> SafeString:
    """Return an instant as the reader writes it, in their time zone, and for machines; or the day it stands for."""
    if value is None or formatting.is_day(value):
        return day(value)
    machine = value.astimezone(timezone.get_current_timezone()) if timezone.is_aware(value) else value
    return format_html(
        '<time datetime="{}">{}</time>',
        machine.isoformat(timespec="minutes"),
        formatting.moment_text(value, zone=zone),
    )


@register.simple_tag
def line_chart(
    title: str, labels: Sequence[str], series: Sequence[charts.Series], table: bool = True, half: bool = False
) -> SafeString:
    """Return a line chart, with its figures as a table unless the page has one; see por.web.charts."""
    return charts.line_chart(title, labels, series, table, half)


@register.simple_tag
def crumbs(*parts: str) -> SafeString:
    """Return the breadcrumbs: label and address of each page above, then the label of this page."""
    above = zip(parts[:-1:2], parts[1:-1:2], strict=True)
    return format_html(
        '<nav class="crumbs" aria-label="{}"><ol>{}<li><span aria-current="page">{}</span></li></ol></nav>',
        _("Breadcrumb"),
        format_html_join(
            "", '<li><a href="{}">{}</a>{}</li>', ((url, label, icon("next", "s")) for label, url in above)
        ),
        parts[-1],
    )


_VIEW = Frame("ui/view.html", "url", "label", "count")


@register.simple_tag
def view_links(views: Iterable[Any]) -> SafeString:
    """Return the saved views of a list as links with their counts, as ui/views.html describes them."""
    shown = [
        _VIEW.render([{"url": one.url, "label": str(one.label), "count": capped(one.count)}], current=one.current)
        for one in views
    ]
    return SafeString("".join(one.strip() for one in shown))  # no space between two links


@register.inclusion_tag("ui/field.html")
def field(bound: BoundField, css: str = "") -> dict[str, Any]:
    """Return a whole form field: label, hint, error and input, tied together for assistive technology.

    A placeholder is left out: it would repeat the label, and disappear when it is needed.
    """
    widget = bound.field.widget
    kind = "choices" if isinstance(widget, RadioSelect) else "check" if isinstance(widget, CheckboxInput) else "input"
    attrs: dict[str, str | bool] = {"class": f"input {css}".strip(), "placeholder": False} if kind == "input" else {}
    return {"field": bound, "kind": kind, "widget": bound.as_widget(attrs=attrs)}


@register.simple_tag
def address(page: str, key: UUID | str) -> str:
    """Return the address of the page about one thing. The form of the address is found once."""
    before, after = _around(page)
    return "".join((before, key if isinstance(key, str) else str(key), after))


@lru_cache
def _around(page: str) -> tuple[str, str]:
    nothing = UUID(int=0)
    before, after = reverse(page, args=[nothing]).split(str(nothing))
    return before, after


@register.filter
def short_id(value: UUID | str) -> str:
    """Return the first eight digits of a GUID, by which people tell two of them apart."""
    return str(value)[:8]


@register.filter
def item(found: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key that is itself a variable; None if there is none."""
    return found.get(key)


@register.filter
def tone(level_tag: str) -> str:
    """Return the tone of one of Django's messages."""
    return TONES.get(level_tag, "info")


@register.filter
def tone_icon(tone: str) -> str:
    """Return the icon of a tone."""
    return TONE_ICONS[tone]
