"""The pages about usage: which months they show, and figures that equal the rows they come from."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from associations.record import sums, usage
from associations.record.access import usage_visible_to
from associations.record.models import Association
from associations.record.policies import months_before
from associations.subscriptions import figures
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription, Usage
from por.portal.views import usage as usage_views
from por.web.formatting import month_text
from tests.factories import make_customer, make_member, make_subscription
from tests.pages import packed, queries, signed_in


@pytest.fixture
def reader(amira: Actor) -> Actor:
    return amira


def month(back: int) -> date:
    """Return the first day of the month that is `back` months before the running one."""
    return months_before(timezone.now().date().replace(day=1), back)


def used(subscription: Subscription, when: date, workload: str = "exo", **given: Any) -> Usage:
    return Usage.objects.create(subscription=subscription, month=when, workload=workload, **given)


def of_record(subscription: Subscription, partner: Partner, began_on: date, ended_on: date | None = None) -> None:
    began, ended = (datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None for day in (began_on, ended_on))
    Association.objects.create(
        kind="dpor", customer=subscription.customer, subscription=subscription, partner=partner, source="estate",
        began_at=began, ended_at=ended,
    )  # fmt: skip


def page_of(subscription: Subscription, *, whose: str = "partner_subscription_usage") -> str:
    return reverse(f"portal:{whose}", args=[subscription.subscription_id])


ALL = reverse("portal:partner_usage")


def rows_of(response: Any) -> list[dict[str, str]]:
    text = b"".join(response).decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines()))


def added_up(rows: list[dict[str, str]], column: str) -> Decimal | None:
    figures = [Decimal(row[column]) for row in rows if row[column]]
    return sum(figures, Decimal(0)) if figures else None


@pytest.fixture
def estate(partner: Partner) -> dict[str, Subscription]:
    """Four subscriptions of record, one of them in the own tenant, and a former one with the most usage."""
    customer, own = make_customer("Almviks kommun", domain="almvik.example"), make_customer("Nordvik Cloud AB")
    partner.own_tenant_id = own.tenant_id
    partner.save()
    found = {
        "seats": make_subscription(customer),
        "azure": make_subscription(customer, product="azure", sku=None, seats=None, agreement="MOSA"),
        "lagging": make_subscription(make_customer("Brandby kommun"), product="intune"),
        "own": make_subscription(own),
        "former": make_subscription(make_customer("Gammal Kund AB")),
    }
    for name in ("seats", "azure", "lagging", "own"):
        of_record(found[name], partner, month(5))
    of_record(found["former"], partner, month(6), month(2))
    for back in range(7):
        used(found["seats"], month(back), "exo", paid_units=100, active_users=80 - back)
        used(found["seats"], month(back), "teams", paid_units=120, active_users=60 - back)
        used(found["azure"], month(back), "azure", consumed_usd=Decimal("100.10") + back)
        used(found["former"], month(back), "exo", paid_units=9000, active_users=8000 + back)
    used(found["lagging"], month(3), "intune", paid_units=50, active_users=20)
    used(found["lagging"], month(14), "intune", paid_units=50, active_users=50)
    used(found["own"], month(1), "exo", paid_units=10, active_users=10)
    return found


# --- Many subscriptions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "names", "paid", "active", "money"),
    [
        ("", {"seats", "azure", "lagging", "own"}, 180, 110, "100.10"),
        ("?months=24", {"seats", "azure", "lagging", "own"}, 180, 110, "100.10"),
        ("?product=azure", {"azure"}, None, None, "100.10"),
        ("?search=almvik", {"seats", "azure"}, 120, 80, "100.10"),
        ("?view=own", {"own"}, 10, 10, None),
        ("?view=former", {"former"}, 9000, 8003, None),
        ("?as_of={months[2]}", {"seats", "azure", "lagging", "own"}, 170, 98, "102.10"),
        ("?as_of={months[3]}&view=former", set(), None, None, None),
    ],
)
def test_key_figures_are_the_sums_of_the_rows_of_the_file(web, estate, query, names, paid, active, money):
    query = query.format(months=[month(back) for back in range(4)])
    page = web.get(ALL + query)
    rows = rows_of(web.get(f"{ALL}{query}{'&' if query else '?'}format=csv"))
    totals = page.context["totals"] or usage.Totals(0, None, None, None)

    assert {row["subscription_id"] for row in rows} == {str(estate[name].subscription_id) for name in names}
    assert totals.subscriptions == len([row for row in rows if row["month"]])
    assert totals.paid_units == added_up(rows, "paid_units") == paid
    assert totals.active_users == added_up(rows, "active_users") == active
    assert totals.consumed_usd == added_up(rows, "consumed_usd") == (None if money is None else Decimal(money))
    assert [row["subscription_id"] for row in rows] == [
        str(one.subscription.subscription_id) for one in page.context["rows"]
    ]


def test_customers_page_has_all_its_subscriptions_and_the_same_sums(estate):
    customer = estate["seats"].customer
    client = signed_in(make_member(customer.organisation, "viewer"))
    used(make_subscription(customer), month(1), "exo", paid_units=5, active_users=4)
    address = reverse("portal:customer_usage")

    page, rows = client.get(address), rows_of(client.get(f"{address}?format=csv"))

    assert page.context["totals"].active_users == added_up(rows, "active_users") == 84
    assert page.context["totals"].consumed_usd == added_up(rows, "consumed_usd") == Decimal("100.10")
    assert {row["customer"] for row in rows} == {"Almviks kommun"}
    assert page_of(estate["seats"], whose="subscription_usage") in page.text


def test_former_subscriptions_count_only_in_their_own_view(web, estate):
    now, former = web.get(ALL), web.get(f"{ALL}?view=former")

    assert max(one.active_users or 0 for one in now.context["rows_of_figures"]) < 8000
    assert [one.month for one in former.context["rows_of_figures"]] == [month(back) for back in (3, 4, 5, 6)]
    assert "The other views do not include these figures." in former.text
    assert [tab.count for tab in now.context["tabs"]] == [4, 1, 1]


def test_own_use_is_marked_as_counting_for_competencies_only(web, estate):
    rows = rows_of(web.get(f"{ALL}?format=csv"))

    assert web.get(ALL).text.count("Own use (competencies only)") == 1
    assert [row["own_use"] for row in rows] == ["0", "0", "0", "1"]
    assert "never earns incentives" in web.get(f"{ALL}?view=own").text


def test_page_shows_workloads_with_paid_and_used_units_and_the_largest_changes(web, estate):
    page = web.get(ALL)
    newest = {one.use.name: one.use for one in page.context["newest"]}

    assert {name: (one.paid_units, one.active_users) for name, one in newest.items()} == {
        "Exchange Online": (100, 80), "Teams": (120, 60), "Intune": (50, 20), "Azure": (None, None),
    }  # fmt: skip
    assert newest["Azure"].consumed_usd == Decimal("100.10")
    assert "so far" in page.text
    (change,) = page.context["changes"]
    assert (change.subscription, change.before, change.after) == (estate["seats"], 76, 79)


def test_lines_that_are_added_up_have_the_percentage_of_their_sums(customer):
    names = ["exo", "spo", "teams", "yammer", "proplus", "intune", "aip"]
    use = [usage.UseOfWorkload(month(1), name, 100, 90 - 10 * place, None) for place, name in enumerate(names, start=1)]

    chart = figures.adoption(use)

    assert [(line.name, line.known) for line in chart.series][-2:] == [("Yammer", [50]), ("Other", [30])]


@pytest.mark.parametrize(
    ("prepare", "query", "says", "leads_to"),
    [
        ("nothing", "", "You are not the partner of record for any subscription yet", "Get started"),
        ("associated", "", "You cannot see usage", "View subscriptions"),
        ("of record", "", "No usage in this period", "Show all months"),
        ("of record", "?months=all", "No usage yet", ""),
        ("of record", "?product=azure", "No subscriptions match", "Clear filters"),
        ("of record", "?view=former", "There are no subscriptions in this view.", ""),
    ],
)
def test_empty_page_explains_why(web, partner, subscription, prepare, query, says, leads_to):
    if prepare == "of record":
        of_record(subscription, partner, month(1))
    elif prepare == "associated":
        Association.objects.create(
            kind="csp", customer=subscription.customer, subscription=subscription, partner=partner, source="estate",
            began_at=timezone.now(),
        )  # fmt: skip
    text = web.get(ALL + query).text

    assert f"<h3>{says}</h3>" in text or f"<p>{says}</p>" in text
    assert leads_to in text
    assert '<dl class="kpis' not in text


def test_queries_do_not_grow_with_subscriptions_and_months(web, estate, partner):
    one, of_all, file = page_of(estate["seats"]), ALL, f"{ALL}?format=csv"

    def costs() -> list[int]:
        return [queries(lambda: web.get(one)), queries(lambda: web.get(of_all)), queries(lambda: web.get(file))]

    before = costs()
    for number in range(6):
        subscription = make_subscription(make_customer(f"Kund {number} AB"))
        of_record(subscription, partner, month(4))
        for back in range(5):
            used(subscription, month(back), "spo", paid_units=9, active_users=number)
            used(estate["seats"], month(back), ["spo", "sfb", "aip", "crm", "yammer", "aadp"][number], active_users=1)

    assert costs() == before
    assert before[0] <= 7
    assert before[1] <= 15


# --- One subscription -----------------------------------------------------------------------------------------------


@pytest.fixture
def subscription(customer: Customer) -> Subscription:
    return make_subscription(customer, started_on=date(2020, 1, 15))


@pytest.fixture
def customers(admin: Actor) -> Client:
    return signed_in(admin)


@pytest.mark.parametrize(
    ("query", "backs"),
    [
        ("", [0, 1, 12]),
        ("?months=12", [0, 1, 12]),
        ("?months=24", [0, 1, 12, 13, 24]),
        ("?months=all", [0, 1, 12, 13, 24, 25, 40]),
        ("?as_of={months[1]}", [1, 12, 13]),
        ("?as_of={months[13]}&months=24", [13, 24, 25]),
    ],
)
def test_period_has_its_full_months_and_the_running_one(customers, subscription, query, backs):
    for back in (0, 1, 12, 13, 24, 25, 40):
        used(subscription, month(back), paid_units=10, active_users=back)
    query = query.format(months=[month(back) for back in range(14)])
    address = page_of(subscription, whose="subscription_usage") + query

    page = customers.get(address)
    file = rows_of(customers.get(f"{address}{'&' if query else '?'}format=csv"))

    assert [one.month for one in page.context["rows_of_figures"]] == [month(back) for back in backs]
    assert [row["month"] for row in file] == [f"{month(back):%Y-%m}" for back in backs]
    assert ("so far" in page.text) == (0 in backs)
    assert "You can see all months because this is your subscription." in page.text


def test_table_and_the_file_have_the_same_rows_and_the_charts_are_drawn_from_them(customers, subscription):
    used(subscription, month(1), "teams", paid_units=400, active_users=100)
    used(subscription, month(1), "exo", paid_units=420, active_users=361)
    used(subscription, month(2), "exo", paid_units=420, active_users=210)
    used(subscription, month(1), "azure", consumed_usd=Decimal("99.50"))
    address = page_of(subscription, whose="subscription_usage")

    page, file = customers.get(address), rows_of(customers.get(f"{address}?format=csv"))

    assert [list(row.values()) for row in file] == [
        [f"{month(1):%Y-%m}", "azure", "", "", "", "99.50", ""],
        [f"{month(1):%Y-%m}", "exo", "420", "361", "86.0", "", ""],
        [f"{month(1):%Y-%m}", "teams", "400", "100", "25.0", "", ""],
        [f"{month(2):%Y-%m}", "exo", "420", "210", "50.0", "", ""],
    ]
    assert packed(page.text).count('<th scope="row">' + month_text(month(1))) == 3
    assert [(line.name, line.values) for line in page.context["adoption"].series] == [
        ("Exchange Online", [Decimal("50.0"), Decimal("86.0")]),
        ("Teams", [None, Decimal("25.0")]),
    ]
    assert page.text.count('class="chart chart--l"') == page.text.count('class="chart chart--s"') == 3


def test_corrected_figure_is_marked_with_the_day_of_the_correction(customers, subscription):
    corrected_at = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
    used(subscription, month(2), paid_units=10, active_users=3, superseded_at=corrected_at)
    used(subscription, month(2), paid_units=10, active_users=9, revision=2, known_from=corrected_at)
    used(subscription, month(1), paid_units=10, active_users=8)
    address = page_of(subscription, whose="subscription_usage")

    page, file = customers.get(address), rows_of(customers.get(f"{address}?format=csv"))

    assert "1 figure was corrected after it was reported. The last correction was on" in page.text
    assert page.text.partition("Show as table")[2].count("4 Mar 2026") == 1
    assert [(row["active_users"], row["corrected_at"]) for row in file] == [("8", ""), ("9", "2026-03-04T09:30:00Z")]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?months=7", "Select a valid choice"),
        ("?as_of=tomorrow", "Enter a date as year-month-day"),
        ("?as_of=2126-01-01", "must be today or in the past"),
        ("?as_of=2020-01-14", "The subscription had not started on that date. Choose a later date."),
    ],
)
def test_invalid_period_is_refused_with_a_message(customers, subscription, query, says):
    used(subscription, month(1), paid_units=10, active_users=8)
    page = customers.get(page_of(subscription, whose="subscription_usage") + query)

    assert page.status_code == 422
    assert says in page.text
    assert page.context["rows_of_figures"] == []


def test_months_named_on_the_page_are_those_the_reader_can_see(amira, partner, subscription):
    for back in range(11):
        used(subscription, months_before(date(2025, 11, 1), back), active_users=1)
    for began_on, ended_on in [
        (date(2025, 1, 31), date(2025, 2, 1)),  # the last day of January and no other
        (date(2025, 2, 2), date(2025, 2, 28)),  # gone before the end of February
        (date(2025, 3, 1), date(2025, 5, 1)),
        (date(2025, 5, 31), date(2025, 6, 30)),
        (date(2025, 8, 10), date(2025, 11, 30)),
    ]:
        of_record(subscription, partner, began_on, ended_on)

    spans = usage.months_seen(amira, subscription).spans
    named = {one for first, last in spans for one in usage.last_months(last, (last.month - first.month) + 1)}

    assert named == set(usage_visible_to(amira).values_list("month", flat=True))
    assert {one.month for one in named} == {1, 3, 4, 5, 8, 9, 10}


def test_other_pages_link_to_usage(web, estate, customers):
    seats = estate["seats"]
    tenant = seats.customer.tenant_id

    assert (
        page_of(seats)
        in web.get(reverse("associations:partner_subscription_detail", args=[seats.subscription_id])).text
    )
    assert f"{ALL}?tenant_id={tenant}" in web.get(reverse("portal:partner_customer_detail", args=[tenant])).text
    assert f'href="{ALL}"' in web.get(reverse("portal:partner_home")).text
    shown = web.get(f"{ALL}?tenant_id={tenant}")
    assert {row.subscription for row in shown.context["rows"]} == {seats, estate["azure"]}
    assert "Almviks kommun" in {chip.value for chip in shown.context["chips"]}


@pytest.mark.parametrize("query", ["", "?months=24", "?months=all", "?view=own", "?search=almvik", "?as_of={month}"])
def test_sums_of_the_whole_record_are_those_of_its_rows(web, estate, query, monkeypatch):
    names, query = ("totals", "rows_of_figures"), query.format(month=month(2))
    page = web.get(ALL + query)
    monkeypatch.setattr(usage_views, "_is_whole_record", lambda *_any: False)
    plain = web.get(ALL + query)

    assert [page.context[name] for name in names] == [plain.context[name] for name in names]
    assert page.context["rows_of_figures"]


def test_kept_sums_change_nothing_on_a_page(web, estate, partner, monkeypatch):
    monkeypatch.setattr(sums, "MANY", 0)
    monkeypatch.setattr(sums, "SETTLED", timedelta(0))
    names = ("totals", "changes", "rows_of_figures", "newest", "people", "adoption", "money")
    before = web.get(ALL)
    assert sums.keep_sums() == 1

    after = web.get(ALL)
    assert [after.context[name] for name in names] == [before.context[name] for name in names]
    remaining = estate["seats"].associations.get()
    remaining.ended_at = timezone.now()
    remaining.save()
    assert web.get(ALL).context["totals"].subscriptions == before.context["totals"].subscriptions - 1
