"""The template tags of pages: what they print in each language, and that they escape text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import models
from django.forms import BooleanField, CharField, ChoiceField, DateField, DateInput, Form, RadioSelect, Select
from django.forms.renderers import DjangoTemplates
from django.template import Context, Engine, Template
from django.urls import reverse, set_script_prefix
from django.utils import timezone, translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from por.directory.models import Subscription
from por.directory.rules import Product
from por.web.charts import Series, line_chart, spark
from por.web.filters import DAY, Choices
from por.web.formatting import day_text, moment_text, money_text, month_text, number_text, percent_text
from por.web.icons import ICONS
from tests.pages import packed

NBSP = "\u00a0"
ATTACKER = '<script>"x"</script>'
TEMPLATES = sorted((Path(settings.BASE_DIR) / "templates").rglob("*.html"))


@pytest.fixture(params=["en", "sv"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    with translation.override(request.param), timezone.override("Europe/Stockholm"):
        yield request.param


@pytest.fixture
def swedish() -> Iterator[None]:
    with translation.override("sv"), timezone.override("Europe/Stockholm"):
        yield


@pytest.fixture
def english() -> Iterator[None]:
    with translation.override("en"), timezone.override("Europe/Stockholm"):
        yield


def render(source: str, **context: Any) -> str:
    return Template(source).render(Context(context))


#: Templates that extend one another, with blocks within blocks, and one whose parent is a variable.
ABOVE = {
    "top": "<{% block a %}A{% endblock %}|{% block b %}B{% block c %}C{% endblock %}{% endblock %}>",
    "middle": "{# first #}{% extends 'top' %}{% block a %}a{{ block.super }}{% endblock %}",
    "page": "{% extends 'middle' %}{% block a %}{{ block.super }}!{% endblock %}{% block c %}{{ x }}{% endblock %}",
    "other": "{% extends 'top' %}{% block b %}only{% endblock %}",
    "named": "{% extends name %}{% block c %}n{{ block.super }}{% endblock %}",
    "plain": "{% extends 'empty' %}{% block a %}nowhere{% endblock %}",
    "empty": "nothing",
}


@pytest.mark.parametrize("name", ABOVE)
def test_a_template_is_put_into_those_above_it_as_django_does(name: str) -> None:
    loaders = [("django.template.loaders.cached.Loader", [("django.template.loaders.locmem.Loader", ABOVE)])]
    djangos, ours = Engine(loaders=loaders), Engine(loaders=loaders, builtins=["por.web.templatetags.ui"])
    for x, above in (("1", "top"), ("2", "middle"), ("<", "other")):
        shown = [one.get_template(name).render(Context({"x": x, "name": above})) for one in (djangos, ours)]
        assert shown[0] == shown[1]


# --- Words for dates and figures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "instant", "text"),
    [
        ("Europe/Stockholm", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "25 Oct 2026, 02:30 (CEST)"),
        ("Europe/Stockholm", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "25 Oct 2026, 02:30 (CET)"),
        ("Europe/Stockholm", datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "29 Mar 2026, 03:00 (CEST)"),
        ("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC), "1 Nov 2026, 01:30 (EDT)"),
        ("America/New_York", datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "1 Nov 2026, 01:30 (EST)"),
        ("Asia/Kathmandu", datetime(2026, 12, 31, 18, 15, tzinfo=UTC), "1 Jan 2027, 00:00 (+0545)"),
    ],
)
def test_a_deadline_names_its_zone_which_tells_repeated_hours_apart(zone, instant, text):
    with translation.override("en"), timezone.override(zone):
        assert moment_text(instant, zone=True) == text


def test_english_dates_and_figures(english: None) -> None:
    assert day_text(date(2026, 11, 22)) == "22 Nov 2026"
    assert day_text(date(2026, 11, 22), weekday=True) == "Sun 22 Nov 2026"
    assert moment_text(datetime(2026, 11, 22, 13, 2, tzinfo=UTC)) == "22 Nov 2026, 14:02"
    assert month_text(date(2026, 11, 1)) == "Nov 2026"
    assert number_text(18420) == "18,420"
    assert money_text(412600, "SEK") == f"SEK{NBSP}412,600"
    assert percent_text(361, 420) == "86%"


def test_swedish_dates_and_figures(swedish: None) -> None:
    assert day_text(date(2026, 11, 22)) == "22 nov. 2026"
    assert day_text(date(2026, 5, 2)) == "2 maj 2026"
    assert moment_text(datetime(2026, 11, 22, 13, 2, tzinfo=UTC)) == "22 nov. 2026 kl. 14:02"
    assert number_text(18420) == f"18{NBSP}420"
    assert money_text(412600, "SEK") == f"412{NBSP}600{NBSP}kr"
    assert money_text(Decimal("9.50"), "USD") == f"9,50{NBSP}USD"
    assert percent_text(361, 420) == f"86{NBSP}%"


def test_an_instant_late_in_the_evening_is_the_next_day_for_the_reader(english: None) -> None:
    assert day_text(datetime(2026, 11, 22, 23, 30, tzinfo=UTC)) == "23 Nov 2026"


def test_a_deadline_names_its_zone(english: None) -> None:
    assert moment_text(datetime(2026, 11, 22, 13, 2, tzinfo=UTC), zone=True) == "22 Nov 2026, 14:02 (CET)"


def test_an_unknown_value_is_a_dash(language: str) -> None:
    assert {day_text(None), moment_text(None), number_text(None), money_text(None, "SEK"), percent_text(1, 0)} == {"–"}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        pytest.param(Decimal("1234.50"), f"SEK{NBSP}1,234.50", id="öre are shown where there are any"),
        pytest.param(Decimal("1234.00"), f"SEK{NBSP}1,234", id="and not where there are none"),
        pytest.param(Decimal("-3"), f"SEK{NBSP}-3", id="a reversal"),
    ],
)
def test_money_is_exact(english: None, amount: Decimal, text: str) -> None:
    assert money_text(amount, "SEK") == text


# --- Tags -----------------------------------------------------------------------------------------------------------


def test_dates_are_for_machines_as_well(swedish: None) -> None:
    moment = datetime(2026, 11, 22, 13, 2, tzinfo=UTC)
    html = render("{% day at.date %} {% moment at %}", at=moment)
    assert html == (
        '<time datetime="2026-11-22">22 nov. 2026</time> '
        '<time datetime="2026-11-22T14:02+01:00">22 nov. 2026 kl. 14:02</time>'
    )


def test_bare_values_in_a_template_are_formatted_too(swedish: None) -> None:
    assert render("{{ day }} {{ figure }}", day=date(2026, 11, 22), figure=18420) == f"22 nov 2026 18{NBSP}420"


def test_a_count_past_the_cap_has_a_plus(english: None) -> None:
    assert render("{% number 10000 cap=10000 %} {% number 10001 cap=10000 %}") == "10,000 10,000+"


@pytest.mark.parametrize(
    "source",
    [
        "{% badge 'ok' text icon='check' %}",
        "{% avatar text %}",
        "{% crumbs text text text %}",
        "{% include 'ui/message.html' with tone='ok' %}",
        "{% include 'ui/empty.html' with icon='key' title=text %}",
        "{% line_chart text labels series %}",
    ],
)
def test_text_is_escaped(source: str) -> None:
    html = render(source, text=ATTACKER, labels=[ATTACKER, "b"], series=[Series(ATTACKER, [1, 2])])
    assert "<script>" not in html
    assert '"x"' not in html


@pytest.mark.parametrize(
    ("name", "expected"), [("Nordvik Cloud AB", "NC"), ("Almviks", "Al"), ("elin sandberg", "ES"), ("", "")]
)
def test_initials(name: str, expected: str) -> None:
    assert render("{{ name|initials }}", name=name) == expected


def test_an_avatar_keeps_its_colour() -> None:
    assert render("{% avatar 'Nordvik Cloud AB' %}") == render("{% avatar 'Nordvik Cloud AB' %}")


@pytest.mark.parametrize("product", ["office365", "intune", "aadp", "crm_online", "ems", "azure"])
def test_each_product_has_a_tile(product: str) -> None:
    assert 'aria-hidden="true"' in render("{% product_tile product %}", product=product)


def test_a_bar_stays_within_its_track_and_has_no_decimal_comma(swedish: None) -> None:
    assert 'width="86.0"' in render("{% bar 361 420 %}")
    assert 'width="100.0"' in render("{% bar 500 420 %}")
    assert 'width="0.0"' in render("{% bar 5 0 %}")
    assert 'width="0.0"' in render("{% bar None 10 %}")


class _Form(Form):
    name = CharField(label="Name", help_text="As on the door")
    note = CharField(label="Note", required=False)
    wanted = BooleanField(label="Wanted", required=False)
    colour = ChoiceField(label="Colour", choices=[("r", "Red"), ("b", "Blue")], widget=RadioSelect)


def test_a_field_ties_label_hint_and_error_to_its_input() -> None:
    html = render("{% field form.name %}", form=_Form({}))
    described = re.search(r'aria-describedby="([^"]+)"', html)
    assert described is not None
    for one in described[1].split():
        assert f'id="{one}"' in html
    assert len(described[1].split()) == 2
    assert '<label for="id_name">' in html
    assert 'aria-invalid="true"' in html


def test_an_optional_field_is_marked(english: None) -> None:
    assert "(optional)" in render("{% field form.note %}", form=_Form())
    assert "(optional)" not in render("{% field form.name %}", form=_Form())


def test_choices_are_a_group_with_a_legend() -> None:
    html = render("{% field form.colour %}", form=_Form())
    assert "<fieldset" in html
    assert html.count("<label") == 2


def test_the_summary_of_errors_links_to_each_field() -> None:
    html = render("{% include 'ui/errors.html' %}", form=_Form({}))
    assert 'href="#id_name"' in html
    assert 'href="#id_colour_0"' in html
    assert render("{% include 'ui/errors.html' %}", form=_Form()).strip() == ""


# --- Small graphics -------------------------------------------------------------------------------------------------

MONTHS = ["Oct", "Nov", "Dec"]


def test_geometry_has_no_decimal_comma_in_any_language(language: str) -> None:
    chart = line_chart("Seats", MONTHS, [Series("Intune", [1, 2.5, 3]), Series("Azure", [7, None, 9])])
    drawing = re.sub(r"<(text|title|td|th)\b[^>]*>[^<]*", "", str(chart) + str(spark([1, 2, 5])))
    for points in re.findall(r'points="([^"]+)"', drawing):
        assert all(re.fullmatch(r"-?[\d.]+,-?[\d.]+", point) for point in points.split())
    for number in re.findall(r'\b(?:x|y|x1|x2|y1|y2|cx|cy|width|height)="([^"]+)"', drawing):
        float(number)


def test_a_chart_has_its_figures_as_text_and_as_a_table(english: None) -> None:
    html = str(line_chart("Active seats", MONTHS, [Series("Intune", [3420, None, 5260])]))
    assert html.count('role="img" aria-label="Line chart. Active seats: Intune from 3,420 to 5,260."') == 2
    assert html.count("<td>3,420</td>") == 1
    assert html.count("<td>–</td>") == 1


def test_a_month_without_a_figure_breaks_the_line() -> None:
    assert str(line_chart("Seats", MONTHS, [Series("Intune", [1, None, 3])])).count("<polyline") == 4


def test_a_month_between_two_gaps_is_a_dot() -> None:
    drawing = str(line_chart("Seats", MONTHS, [Series("Intune", [1, None, 3])]))
    assert [len(points.split()) for points in re.findall(r'<polyline[^>]* points="([^"]+)"', drawing)] == [2] * 4


def test_more_than_five_lines_become_four_and_the_rest(english: None) -> None:
    series = [Series(f"Product {n}", [n * 10, n * 10 + 1]) for n in range(1, 8)]
    html = str(line_chart("Seats", ["Oct", "Nov"], series))
    assert html.count("<polyline") == 2 * 5
    assert ">Other</text>" in html
    assert html.count('<th scope="row">') == 7


def test_a_chart_without_figures_has_a_message(english: None) -> None:
    assert "Seats: no data." in str(line_chart("Seats", [], []))


def test_labels_at_the_ends_do_not_cover_each_other() -> None:
    html = str(line_chart("Seats", ["Oct", "Nov"], [Series(f"Line {n}", [5, 5 + n / 100]) for n in range(5)]))
    large = html.split("</svg>")[0]
    heights = sorted(float(y) for y in re.findall(r'class="lab t\d" x="[\d.]+" y="([\d.]+)"', large))
    assert len(heights) == 5
    assert min(b - a for a, b in zip(heights, heights[1:], strict=False)) > 14.8


def test_one_figure_makes_no_sparkline() -> None:
    assert str(spark([3])) == ""


# --- Rules of the templates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR / "templates")))
def test_nothing_is_inline(path: Path) -> None:
    source = path.read_text()
    if "emails" in path.parts:
        return  # mail programs do not read style sheets
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=[\"']|javascript:|hx-on|<script(?![^>]*\ssrc=)", source)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR / "templates")))
def test_every_icon_in_a_template_exists(path: Path) -> None:
    assert set(re.findall(r'{% icon "([^"]+)"', path.read_text())) <= ICONS.keys()


# --- What is remembered ---------------------------------------------------------------------------------------------


def test_a_text_is_translated_for_each_language():
    text = Template('{% translate "Subscriptions" %}')

    def shown(language: str) -> str:
        with translation.override(language):
            return text.render(Context())

    assert [shown("en"), shown("sv"), shown("en")] == ["Subscriptions", "Prenumerationer", "Subscriptions"]


def test_a_text_that_changes_is_not_remembered(english):
    text = Template("{% translate word %}")
    assert [text.render(Context({"word": word})) for word in ("Home", "Inbox", ATTACKER)] == [
        "Home",
        "Inbox",
        "&lt;script&gt;&quot;x&quot;&lt;/script&gt;",
    ]


def test_safe_and_unsafe_texts_of_badges_are_kept_apart(english):
    badge = Template('{% badge "ok" text %}')
    assert "<b>" in badge.render(Context({"text": mark_safe("<b>x</b>")}))
    assert "<b>" not in badge.render(Context({"text": "<b>x</b>"}))


def test_parts_that_are_remembered_follow_the_language():
    parts = Template("{% day when %} {% since when %} {% use 1234 5000 %}")

    def shown(language: str) -> str:
        with translation.override(language):
            return parts.render(Context({"when": date(2026, 5, 3)}))

    assert "3 May 2026" in shown("en")
    assert "since" in shown("en")
    assert "1,234" in shown("en")
    assert "3 maj 2026" in shown("sv")
    assert "since" not in shown("sv")
    assert f"1{NBSP}234" in shown("sv")
    assert "1,234" in shown("en")


def test_a_choice_is_the_word_that_django_shows(language):
    for product, label in Product.choices:
        row = Subscription(product=product)
        assert (
            row.get_product_display() == models.Model._get_FIELD_display(row, row._meta.get_field("product")) == label
        )


def test_an_address_is_the_one_that_django_finds():
    page, key = "associations:subscription_detail", uuid4()
    assert Template("{% address page key %}").render(Context({"page": page, "key": key})) == reverse(page, args=[key])


def test_a_select_is_the_one_of_django():
    class Choices(Form):
        one = ChoiceField(
            choices=[("", "All"), ("Group", [("a", ATTACKER), ("b", "B")]), ("c", "C")],
            widget=Select(attrs={"data-x": "1", "required": True}),
        )

    def shown(form: Form) -> str:
        return packed(str(form["one"]))

    own = Choices({"one": "b"})
    stock = Choices({"one": "b"}, renderer=DjangoTemplates())
    assert ' value="b" selected>' in shown(own)
    assert shown(own) == shown(stock)


def test_an_address_without_parts_is_found_once_and_follows_the_prefix_of_the_server():
    page = Template('{% url "portal:partner_home" %}')
    assert page.render(Context()) == reverse("portal:partner_home")
    set_script_prefix("/por/")
    try:
        assert page.render(Context()) == reverse("portal:partner_home") == "/por/p/"
    finally:
        set_script_prefix("/")
    assert page.render(Context()) == "/p/"


def test_an_address_with_parts_is_not_remembered():
    page = Template('{% url "associations:subscription_detail" key %}{% url name as found %}{{ found }}')
    for name in ("portal:partner_home", "portal:customer_home"):
        key = uuid4()
        expected = reverse("associations:subscription_detail", args=[key]) + reverse(name)
        assert page.render(Context({"key": key, "name": name})) == expected


class _Filters(Form):
    product = ChoiceField(choices=[("", gettext_lazy("All products")), *Product.choices], widget=Choices)
    day = DateField(widget=DAY, help_text="Then", required=False)


class _Stock(Form):
    product = ChoiceField(choices=[("", gettext_lazy("All products")), *Product.choices])
    day = DateField(widget=DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), help_text="Then", required=False)


def test_selects_and_days_of_filters_are_those_of_django_in_each_language():
    def parts(html: Any) -> list[Any]:
        """Return the tags of the HTML with their attributes in the order of the alphabet, and the text between them."""
        return [sorted(re.findall(r'[\w-]+(?:="[^"]*")?', tag)) for tag in re.findall(r"<[^>]+>|[^<>\s][^<>]*", html)]

    for language in ("en", "sv", "en"):
        with translation.override(language):
            for given in ({}, {"product": "azure"}, {"product": ATTACKER}, {"day": "2026-03-01"}, {"day": ATTACKER}):
                own, stock = _Filters(given), _Stock(given)
                for form in (own, stock):
                    form.is_valid()
                for name in ("product", "day"):
                    assert parts(str(own[name])) == parts(str(stock[name]))
                assert "<script>" not in str(own["day"]) + str(own["product"])
