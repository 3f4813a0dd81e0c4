"""The partner's pages: figures equal the lists behind them, and nothing is shown that the partner may not know."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.record import access, timeline
from associations.record.models import Association
from associations.record.policies import months_before
from associations.record.sums import use_of_record
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription, Usage
from por.history.models import Event
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import queries, signed_in

LISTS = ["portal:partner_customer_list", "associations:partner_subscription_list", "portal:partner_history"]


@pytest.fixture
def reader(amira: Actor) -> Actor:
    return amira


def administrator(customer: Customer) -> Actor:
    return Actor(user=None, organisation=customer.organisation, role="administrator")


def attach(subscription: Subscription, partner: Partner, **given: Any) -> Association:
    by = administrator(subscription.customer)
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=by, **given).association


def remove(subscription: Subscription, **given: Any) -> Association:
    return attaching.remove(subscription.subscription_id, by=administrator(subscription.customer), **given)


def associated(customer: Customer, partner: Partner, **given: Any) -> Association:
    """Create an association with the whole tenant. Only imports make them."""
    fields = {"kind": "delegated_admin", "began_at": datetime(2025, 1, 1, tzinfo=UTC), "source": "estate"}
    return Association.objects.create(customer=customer, partner=partner, **(fields | given))


def month(back: int) -> date:
    return months_before(timezone.now().date().replace(day=1), back)


def used(subscription: Subscription, when: date, workload: str = "exo", **figures: Any) -> None:
    Usage.objects.create(subscription=subscription, month=when, workload=workload, **figures)


def home(web: Client) -> Any:
    return web.get(reverse("portal:partner_home"))


def listed(web: Client, query: str = "") -> Any:
    return web.get(reverse("associations:partner_subscription_list") + query)


def page(subscription: Subscription) -> str:
    return reverse("associations:partner_subscription_detail", args=[subscription.subscription_id])


def shown(response: Any) -> set[Subscription]:
    return {row.subscription for row in response.context["rows"]}


@pytest.fixture
def estate(partner: Partner) -> dict[str, Subscription]:
    """A customer with a subscription of each sort that the views distinguish, and the partner's own tenant."""
    customer = make_customer("Almviks kommun", domain="almvik.example")
    own = make_customer("Nordvik Cloud AB")
    partner.own_tenant_id = own.tenant_id
    partner.save()
    soon = timezone.now().date() + timedelta(days=30)
    found = {
        "held": make_subscription(customer, seats=100),
        "renewing": make_subscription(customer, seats=50, renews_on=soon),
        "own": make_subscription(own, seats=10),
        "azure": make_subscription(customer, product="azure", sku=None, seats=None, agreement="MOSA"),
        "former": make_subscription(customer, seats=20),
        "rivals": make_subscription(customer, seats=30),
        "free": make_subscription(customer, seats=40),
    }
    for name in ("held", "renewing", "own", "azure", "former"):
        attach(found[name], partner)
    remove(found["former"], reason="Their project has ended.")
    attach(found["rivals"], make_partner("Halden Konsult AB"))
    associated(customer, partner)
    used(found["held"], month(1), paid_units=100, active_users=80)
    used(found["held"], month(1), "teams", paid_units=100, active_users=60)
    used(found["held"], month(2), paid_units=100, active_users=70)
    used(found["renewing"], month(1), paid_units=50, active_users=20)
    used(found["azure"], month(1), "azure", consumed_usd=Decimal("1200.40"))
    used(found["rivals"], month(1), paid_units=30, active_users=30)
    return found


# --- The dashboard --------------------------------------------------------------------------------------------------


def test_every_figure_equals_the_list_it_links_to(web, estate):
    context = home(web).context
    counts = context["counts"]

    assert counts["of_record"] == len(shown(listed(web))) == 4
    assert counts["attention"] == len(shown(listed(web, "?view=attention"))) == 1
    assert counts["renewing"] == len(shown(listed(web, "?view=renewing"))) == 1
    assert counts["own"] == len(shown(listed(web, "?view=own"))) == 1
    customers = web.get(reverse("portal:partner_customer_list")).context["rows"]
    assert counts["customers"] == len(customers) == 2
    rows = listed(web).context["rows"]
    assert context["seats"].active_users == sum(row.usage.active_users or 0 for row in rows if row.usage) == 100
    assert context["seats"].paid_units == 150
    assert context["spent"] == 1200


def test_chart_has_each_workload_of_the_last_twelve_months(web, estate):
    people = home(web).context["people"]

    assert len(people.labels) == 12
    assert {line.name: list(line.values)[-2:] for line in people.series} == {
        "Exchange Online": [70, 100],
        "Teams": [None, 60],
    }
    assert "Show as table" in home(web).text


def test_recent_changes_show_the_reason_but_no_other_partner(web, estate):
    text = home(web).text

    assert "Their project has ended." in text
    assert "Halden Konsult AB" not in text


def test_new_partner_is_shown_how_to_begin(web, partner):
    text = home(web).text

    assert "Get started" in text
    assert f"enter the MPN ID {partner.mpn_id}" in text


def test_new_global_account_is_shown_the_ids_of_its_locations(partner):
    company = make_partner("Nordvik Group", kind="global")
    partner.organisation.parent = company.organisation
    partner.organisation.save()

    text = home(signed_in(make_member(company.organisation))).text

    assert f"enter the MPN ID {partner.mpn_id}" in text
    assert f"enter the MPN ID {company.mpn_id}" not in text


def test_global_account_sees_what_its_locations_are_of_record_for(partner, estate):
    company = make_partner("Nordvik Group", kind="global")
    partner.organisation.parent = company.organisation
    partner.organisation.save()

    assert home(signed_in(make_member(company.organisation))).context["counts"]["of_record"] == 4


def test_dashboard_takes_at_most_eleven_queries_however_many_rows(web, estate, partner):
    before = queries(lambda: home(web))
    for number in range(9):
        subscription = make_subscription(make_customer(f"Kund {number} AB"))
        attach(subscription, partner)
        used(subscription, month(1), paid_units=9, active_users=number)

    assert queries(lambda: home(web)) == before <= 11


# --- Subscriptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"held", "renewing", "own", "azure"}),
        ("?view=attention", {"renewing"}),
        ("?view=renewing", {"renewing"}),
        ("?view=own", {"own"}),
        ("?view=former", {"former"}),
        ("?view=all", {"held", "renewing", "own", "azure", "former", "rivals", "free"}),
        ("?product=azure", {"azure"}),
        ("?search=almvik", {"held", "renewing", "azure"}),
    ],
)
def test_list_shows_what_its_view_and_filters_ask_for(web, estate, query, names):
    assert shown(listed(web, query)) == {estate[name] for name in names}


def test_counts_of_the_views_equal_their_lists(web, estate):
    tabs = listed(web).context["tabs"]

    assert [tab.count for tab in tabs] == [len(shown(web.get(tab.url))) for tab in tabs] == [4, 1, 1, 1, 1, 7]


def test_another_partner_of_record_is_not_named_in_lists_filters_and_files(web, estate):
    rival = Partner.objects.get(organisation__name="Halden Konsult AB")

    assert "Another partner" in listed(web, "?view=all").text
    assert shown(listed(web, f"?view=all&partner_of_record={rival.mpn_id}")) == set()
    assert shown(listed(web, "?view=all&search=halden")) == set()
    for text in (listed(web, "?view=all").text, b"".join(listed(web, "?view=all&format=csv")).decode()):
        assert "Halden" not in text
        assert rival.mpn_id not in text


def test_csv_has_usage_only_where_the_reader_is_partner_of_record(web, estate):
    lines = b"".join(listed(web, "?view=all&format=csv")).decode().splitlines()
    by_id = {line.split(",")[0]: line for line in lines}

    assert by_id[str(estate["held"].subscription_id)].endswith(f",{month(1):%Y-%m},100,80,")
    assert by_id[str(estate["azure"].subscription_id)].endswith(",,,1200.40")
    assert by_id[str(estate["rivals"].subscription_id)].endswith(",,,,")


def test_partner_of_record_sees_since_when_the_usage_and_the_history(web, estate):
    response = web.get(page(estate["held"]))

    assert [period.association.ended_at for period in response.context["periods"]] == [None]
    assert "<b>80</b>" in response.text
    assert [line.name for line in response.context["people"].series] == ["Exchange Online", "Teams"]
    assert [item.icon for item in response.context["events"]] == ["link"]


def test_own_use_is_shown_to_count_for_competencies_only(web, estate):
    assert "It counts towards your competencies but never earns incentives." in web.get(page(estate["own"])).text
    assert "Own use (competencies only)" in listed(web).text


def test_name_and_usage_of_another_partner_of_record_are_not_shown(web, estate):
    response = web.get(page(estate["rivals"]))

    assert "Another partner is the partner of record for this subscription." in response.text
    assert "Halden" not in response.text
    assert response.context["use"] is None


def test_former_partner_keeps_the_usage_of_the_months_it_covered(web, partner):
    subscription = make_subscription(make_customer("Gammal Kund AB"))
    association = attach(subscription, partner, began_on=month(3))
    Association.objects.filter(pk=association.pk).update(
        ended_at=datetime.combine(month(1), datetime.min.time(), UTC), end_reason="removed"
    )
    for back in (4, 3, 2, 1):
        used(subscription, month(back), paid_units=10, active_users=back)

    (line,) = web.get(page(subscription)).context["people"].series

    assert [value for value in line.values if value is not None] == [3, 2]
    assert listed(web, "?view=former").context["rows"][0].usage is None


def test_partner_cannot_find_what_it_was_never_associated_with(web):
    stranger = make_subscription(make_customer("Torsnäs Hamn AB"))

    assert web.get(page(stranger)).status_code == 404
    tenant = stranger.customer.tenant_id
    assert web.get(reverse("portal:partner_customer_detail", args=[tenant])).status_code == 404


def test_subscription_of_an_undone_attach_is_not_found(web, partner):
    subscription = make_subscription(make_customer())
    attach(subscription, partner)
    undo.undo(subscription.subscription_id, by=administrator(subscription.customer))

    assert web.get(page(subscription)).status_code == 404
    text = web.get(reverse("portal:partner_history")).text
    assert "was undone" in text
    assert page(subscription) not in text


@pytest.mark.parametrize("name", ["portal:partner_home", *LISTS])
def test_customer_may_not_open_a_partners_pages(customer, name):
    response = signed_in(make_member(customer.organisation)).get(reverse(name))

    assert response.status_code == 403
    assert "This page is for partners." in response.text


# --- Customers ------------------------------------------------------------------------------------------------------


def test_customers_are_current_or_former(web, estate, partner):
    lost = make_subscription(make_customer("Gammal Kund AB"))
    attach(lost, partner)
    remove(lost)
    url = reverse("portal:partner_customer_list")

    current = web.get(url).context["rows"]
    former = web.get(f"{url}?view=former").context["rows"]

    assert [(row.customer.organisation.name, row.of_record, row.kinds) for row in current] == [
        ("Almviks kommun", 3, ["Delegated administrator", "Partner of record"]),
        ("Nordvik Cloud AB", 1, ["Partner of record"]),
    ]
    assert [(row.customer.organisation.name, row.of_record, row.kinds) for row in former] == [("Gammal Kund AB", 0, [])]
    assert former[0].ended_at is not None


def test_customers_are_searched_by_name_and_domain(web, estate):
    url = reverse("portal:partner_customer_list")

    assert len(web.get(f"{url}?search=almvik.ex").context["rows"]) == 1
    assert "No customers match" in web.get(f"{url}?search=nobody").text
    assert len(web.get(f"{url}?search=al").context["rows"]) == 1
    assert web.get(f"{url}?search=a").status_code == 422


def test_customers_page_shows_the_partners_associations(web, estate):
    customer = estate["held"].customer

    response = web.get(reverse("portal:partner_customer_detail", args=[customer.tenant_id]))

    assert "almvik.example" in response.text
    assert "Delegated administrator" in response.text
    assert len(response.context["rows"]) == 6
    assert "Halden" not in response.text


def test_page_of_a_former_customer_shows_why_and_when_it_ended(web, partner):
    lost = make_subscription(make_customer("Gammal Kund AB"))
    attach(lost, partner)
    remove(lost, reason="Another partner does this work now.")

    response = web.get(reverse("portal:partner_customer_detail", args=[lost.customer.tenant_id]))

    assert "Your association with this customer ended on" in response.text
    assert "Removed by the customer" in response.text
    assert "<q>Another partner does this work now.</q>" in response.text


# --- History --------------------------------------------------------------------------------------------------------


def test_partners_history_has_its_own_events_only(web, estate):
    url = reverse("portal:partner_history")
    response = web.get(url)

    assert len(response.context["events"]) == 6
    assert "Halden" not in response.text
    assert "Halden" not in b"".join(web.get(f"{url}?format=csv")).decode()


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("attached", "<b>Another partner</b> attached"),
        ("attach_undone", "The attachment of <b>another partner</b> was undone"),
    ],
)
def test_other_partner_in_an_event_is_another_partner(amira, verb, says):
    changes = {"partner": {"mpn_id": "4410237", "name": "Halden Konsult AB"}}
    event = Event(verb=f"partner_of_record.{verb}", changes=changes, at=timezone.now())

    assert timeline.items(amira, [event], here=True)[0].sentence == says


@pytest.mark.parametrize("name", LISTS)
def test_queries_of_a_list_do_not_grow_with_its_rows(web, estate, partner, name):
    def get() -> Any:
        return web.get(reverse(name))

    before = queries(get)
    for number in range(5):
        attach(make_subscription(make_customer(f"Kund {number} AB")), partner)

    assert queries(get) == before


def test_queries_of_a_customers_page_do_not_grow_with_its_subscriptions(web, estate, partner):
    customer = estate["held"].customer

    def get() -> Any:
        return web.get(reverse("portal:partner_customer_detail", args=[customer.tenant_id]))

    before = queries(get)
    for _number in range(5):
        attach(make_subscription(customer), partner)

    assert queries(get) == before


def test_usage_of_seats_counts_each_subscription_once_a_month(estate, amira):
    seats = use_of_record(amira, month(2)).seats

    assert [(one.month, one.paid_units, one.active_users) for one in seats] == [
        (month(2), 100, 70),
        (month(1), 150, 100),
    ]


@pytest.mark.parametrize("view", ["", "attention", "renewing", "own", "former", "all"])
def test_no_tab_shows_a_large_partner_what_it_may_not_see(
    web: Client, customer: Customer, partner: Partner, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FEW", 0)  # so one is many, and the keys of what it may see are not listed
    seen = make_subscription(make_customer("Other"))
    attach(seen, partner)
    other = make_partner("Halden Konsult AB", own_tenant_id=customer.tenant_id)
    attach(make_subscription(customer, renews_on=timezone.now().date() + timedelta(days=30)), other)
    attach(left := make_subscription(customer), other)
    remove(left)
    response = listed(web, f"?view={view}")
    assert shown(response) == ({seen} if view in ("", "all") else set())
    assert [tab.count for tab in response.context["tabs"]] == [1, 0, 0, 0, 0, 1]


def test_unfiltered_tab_is_counted_once(web: Client, subscription: Subscription, partner: Partner) -> None:
    attach(subscription, partner)
    assert queries(lambda: listed(web, "?product=office365")) == queries(lambda: listed(web)) + 1
    assert listed(web, "?product=azure").context["tabs"][0].count == 1
