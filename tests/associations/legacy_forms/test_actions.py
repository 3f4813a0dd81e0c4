"""The legacy form: what can be imported, how it is shown, how partners move from it, and reminders."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from associations import tasks
from associations.legacy_forms import actions as legacy_forms
from associations.record.models import Association
from associations.record.policies import forms_earn_nothing_since, policy_on
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from por.history.actions.relaying import relay
from por.history.actions.verifying import verify
from por.history.models import Event
from por.management.estates import cast
from por.notifications.actions.delivering import deliver
from por.portal.navigation import navigation
from tests import estates
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import queries, signed_in

TRANSITION = reverse("associations:partner_transition")
OLD = date(2014, 3, 1)


def on(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def associate(subscription: Subscription, partner: Partner, kind: str, began: str, ended: str = "") -> Association:
    """Create an association as an import would."""
    return Association.objects.create(
        kind=kind,
        customer=subscription.customer,
        subscription=subscription,
        partner=partner,
        began_at=on(began),
        ended_at=on(ended) if ended else None,
        source="estate",
    )


@pytest.fixture
def reader(partner: Partner) -> Actor:
    return make_member(partner.organisation)


# --- What can be imported -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        ({"started_on": "2015-04-30"}, []),
        ({"started_on": "2015-05-01"}, [("2", "kind", "digital_only")]),
        ({"started_on": "2015-05-01", "agreement": "EAS"}, []),
        ({"started_on": "2015-05-01", "agreement": "MOSP"}, []),
    ],
)
def test_import_refuses_a_form_only_for_a_new_enterprise_agreement(tmp_path: Path, cells, codes):
    deal = estates.subscription(renews_on="", **cells)
    form = estates.association(kind="osa_form", began_on="2015-06-01")
    imported = estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner()],
            customers=[estates.customer()],
            subscriptions=[deal],
            associations=[form, estates.association(began_on="2015-06-01")],
        )
    )
    assert imported.codes == codes
    assert Association.objects.forms().count() == 1 - len(codes)
    assert Association.objects.of_record().count() == 1


# --- The policies by day --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "deadline", "nothing_since"),
    [
        ("2015-05-20", "2015-09-30", None),
        ("2015-05-31", "2015-09-30", None),
        ("2015-06-01", "2015-12-31", None),
        ("2015-12-31", "2015-12-31", None),
        ("2016-01-01", "2015-12-31", "2016-01-01"),
        ("2026-02-28", "2015-12-31", "2016-01-01"),
        ("1999-01-01", "2015-09-30", None),
    ],
)
def test_deadline_was_extended_once_and_then_forms_earn_nothing(day, deadline, nothing_since):
    given = date.fromisoformat(day)
    assert f"{policy_on(given).legacy_form_deadline}" == deadline
    since = forms_earn_nothing_since(given)
    assert (since and f"{since}") == nothing_since


# --- How it is shown ------------------------------------------------------------------------------------------------


@pytest.fixture
def with_form(customer: Customer, partner: Partner) -> Subscription:
    subscription = make_subscription(customer, started_on=OLD)
    associate(subscription, partner, "osa_form", "2014-06-01")
    return subscription


def test_every_page_with_a_form_shows_what_it_is_worth(web, with_form, customer, partner):
    company = signed_in(make_member(customer.organisation))
    tenant, given = customer.tenant_id, [with_form.subscription_id]
    pages = [
        (company, reverse("associations:subscription_detail", args=given), "?"),
        (company, reverse("associations:subscription_list"), "?"),
        (company, reverse("portal:customer_partners"), "?"),
        (web, reverse("associations:partner_subscription_detail", args=given), "?"),
        (web, reverse("associations:partner_subscription_list"), "?view=all&"),
        (web, reverse("portal:partner_customer_detail", args=[tenant]), "?"),
    ]
    for client, address, query in pages:
        assert "Legacy form: no incentives since 1 Jan 2016" in client.get(address + query).text, address
        then = client.get(f"{address}{query}as_of=2015-11-15").text
        assert "Legacy form: must be moved by 31 Dec 2015" in then, address
        assert "30 Sep 2015" in client.get(f"{address}{query}as_of=2015-05-20").text, address
        before = client.get(f"{address}{query}as_of=2014-05-01").text
        assert "Legacy form: " not in before, address
    customers = web.get(reverse("portal:partner_customer_list")).text
    assert "Legacy form: no incentives since 1 Jan 2016" in customers
    for client in (company, web):
        assert reverse("associations:what_counts") in client.get(pages[0 if client is company else 3][1]).text


def test_only_the_customer_sees_another_partners_form(web, with_form, partner, customer):
    halden = make_partner("Halden Konsult AB")
    associate(with_form, halden, "osa_form", "2014-07-01")
    rival = signed_in(make_member(make_partner("Lyngby ApS").organisation))
    address = reverse("associations:partner_subscription_detail", args=[with_form.subscription_id])
    assert "Halden" not in web.get(address).text
    assert "Halden" not in web.get(reverse("associations:partner_subscription_list") + "?view=all").text
    assert "Halden" not in web.get(TRANSITION).text
    assert rival.get(address).status_code == 404
    company = signed_in(make_member(customer.organisation))
    assert "Halden" in company.get(reverse("associations:subscription_detail", args=[with_form.subscription_id])).text


# --- The page -------------------------------------------------------------------------------------------------------


def listed(client: Client, query: str = "") -> Any:
    page = client.get(TRANSITION + query)
    assert page.status_code == 200
    return page


def names(page: Any) -> set[str]:
    return {row.subscription.customer.organisation.name for row in page.context["rows"]}


def figures(page: Any) -> tuple[Any, ...]:
    context = page.context
    still = context["still"]
    return still["subscriptions"], still["customers"], still["seats"], context["moved"], context["in_all"]


@pytest.fixture
def estate(partner: Partner) -> dict[str, Subscription]:
    """In November 2015: one still on a form, one moved, one with another partner; one is moved in December."""
    found = {}
    for name in ("Kvar AB", "Flyttad AB", "Annan AB", "December AB"):
        found[name] = make_subscription(make_customer(name), started_on=OLD, seats=100)
        associate(found[name], partner, "osa_form", "2014-06-01")
    associate(found["Flyttad AB"], partner, "dpor", "2015-10-01")
    associate(found["Annan AB"], make_partner("Halden Konsult AB"), "dpor", "2015-09-01")
    associate(found["December AB"], partner, "dpor", "2015-12-15")
    return found


def test_page_of_a_day_shows_what_was_left_and_how_much_time(web, estate):
    then = listed(web, "?as_of=2015-11-15")
    assert names(then) == {"Kvar AB", "December AB"}
    assert figures(then) == (2, 2, 200, 1, 3)
    assert (then.context["days_left"], then.context["nothing_since"]) == (46, None)
    assert 'until <time datetime="2015-12-31">31 Dec 2015</time>' in then.text
    assert "You cannot change anything here." in then.text
    assert names(listed(web, "?as_of=2015-11-15&view=moved")) == {"Flyttad AB"}
    other = listed(web, "?as_of=2015-11-15&view=other")
    assert names(other) == {"Annan AB"}
    assert "Another partner" in other.text
    assert "Halden" not in other.text
    assert figures(listed(web, "?as_of=2015-12-31")) == (1, 1, 100, 2, 3)
    may, june = listed(web, "?as_of=2015-05-20"), listed(web, "?as_of=2015-06-01")
    assert (f"{may.context['deadline']}", may.context["days_left"]) == ("2015-09-30", 133)
    assert (f"{june.context['deadline']}", june.context["days_left"]) == ("2015-12-31", 213)
    assert figures(may) == (4, 4, 400, 0, 4)


def test_page_of_today_shows_since_when_forms_earn_nothing(web, estate):
    page = listed(web)
    assert names(page) == {"Kvar AB"}
    assert "No incentives since" in page.text
    assert "1 Jan 2016" in page.text
    estate["Kvar AB"].status = "expired"
    estate["Kvar AB"].save()
    assert names(listed(web)) == set(), "no one can be attached to it any more"
    assert names(listed(web, "?as_of=2015-11-15")) == {"Kvar AB", "December AB"}, "the status of that day is not known"


def test_page_is_filtered_searched_counted_and_exported_like_other_lists(web, estate):
    day = "?as_of=2015-11-15"
    assert names(listed(web, f"{day}&search=december")) == {"December AB"}
    assert names(listed(web, f"{day}&product=azure")) == set()
    assert [tab.count for tab in listed(web, day).context["tabs"]] == [2, 1, 1]
    answer = web.get(f"{TRANSITION}{day}&format=csv")
    assert "2015-11-15.csv" in answer["Content-Disposition"]
    lines = b"".join(answer).decode().splitlines()
    assert len(lines) == 3
    assert "December AB" in lines[1]
    assert web.get(f"{TRANSITION}?as_of=2999-01-01").status_code == 422
    assert web.get(f"{TRANSITION}?search=x").status_code == 422


def test_undone_forms_are_not_listed(web, estate, partner):
    Association.objects.forms().filter(partner=partner).update(undone_at=timezone.now())
    page = listed(web, "?as_of=2015-11-15")
    assert figures(page) == (0, 0, None, 0, 0)
    assert "No customer has you on a legacy form" in page.text


def test_global_account_has_the_forms_of_its_locations(partner, estate):
    company = make_partner("Nordvik Group", kind="global")
    partner.organisation.parent = company.organisation
    partner.organisation.save()
    page = listed(signed_in(make_member(company.organisation, "viewer")), "?as_of=2015-11-15")
    assert figures(page) == (2, 2, 200, 1, 3)


def test_queries_do_not_grow_with_rows(web, estate, partner):
    before = queries(lambda: listed(web, "?as_of=2015-11-15"))
    for number in range(7):
        subscription = make_subscription(make_customer(f"Kund {number}"), started_on=OLD)
        associate(subscription, partner, "osa_form", "2014-06-01")
    assert queries(lambda: listed(web, "?as_of=2015-11-15")) == before <= 16


def test_navigation_shows_the_page_only_to_partners_that_ever_had_a_form(web, estate, partner):
    def led(to: Partner) -> bool:
        groups = navigation(make_member(to.organisation), "/p/")
        return TRANSITION in [link.url for group in groups for link in group.links]

    assert led(partner)
    assert not led(make_partner("Ny AB"))


def test_demo_data_has_forms_to_move_in_november_2015(tmp_path: Path):
    call_command(
        "make_estate", str(tmp_path), subscriptions=cast.SUBSCRIPTIONS, seed=1, today=date(2026, 11, 26), verbosity=0
    )
    assert estates.load(tmp_path).failure == ""
    web = signed_in(make_member(Partner.objects.get(mpn_id=cast.NORDVIK).organisation))
    november, december = listed(web, "?as_of=2015-11-15"), listed(web, "?as_of=2015-12-15")
    assert names(november) == {"Sandvika Fiber AB", "Lidens kommun", "Ekbackens skolor", "Almviks kommun"}
    assert figures(november)[3:] == (1, 6)
    assert names(december) == {"Sandvika Fiber AB", "Lidens kommun", "Almviks kommun"}
    assert figures(december)[3:] == (3, 6)
    assert names(listed(web)) == {"Sandvika Fiber AB", "Lidens kommun"}


# --- Reminders ------------------------------------------------------------------------------------------------------


def remind(day: str) -> int:
    return legacy_forms.remind_of_forms(date.fromisoformat(day))


def reminders() -> list[tuple[str, int, int]]:
    """Return for each reminder: the partner, the days before the deadline, and the number of subscriptions."""
    events = Event.objects.filter(verb="transition.reminded").order_by("id")
    return [(one.object_name, one.changes["reminder"], one.changes["subscriptions"]) for one in events]


def test_reminders_come_60_30_and_7_days_before_the_deadline_and_never_twice(estate, partner):
    days = ["2015-10-31", "2015-11-01", "2015-11-01", "2015-11-02", "2015-11-30", "2015-12-01", "2015-12-02"]
    assert [remind(day) for day in days] == [0, 1, 0, 0, 0, 1, 0]
    assert [remind(day) for day in ("2015-12-20", "2015-12-24", "2015-12-25", "2015-12-31", "2016-01-01")] == [
        0,
        1,
        0,
        0,
        0,
    ]
    name = partner.organisation.name
    assert reminders() == [(name, 60, 2), (name, 30, 2), (name, 7, 1)]
    assert list(verify()) == []


def test_of_missed_reminders_only_the_last_one_is_given(estate, partner):
    assert [remind(day) for day in ("2015-12-27", "2015-12-27", "2015-12-29")] == [1, 0, 0]
    assert [reminder for _name, reminder, _count in reminders()] == [7]


def test_first_deadline_gives_no_reminders(estate):
    assert [remind(day) for day in ("2015-05-31", "2015-08-01", "2015-09-25")] == [0, 0, 0]


def test_run_after_the_deadline_reminds_no_one(estate):
    tasks.run_scheduled()
    assert reminders() == []


def test_partner_without_forms_is_not_reminded(estate, partner):
    Association.objects.forms().update(ended_at=on("2015-10-01"))
    assert remind("2015-11-02") == 0


def test_reminder_is_mailed_in_the_readers_language_and_shown_in_the_history(estate, partner, mailoutbox):
    partner.organisation.language = "sv"
    partner.organisation.contact_email = "avtal@nordvik.example"
    partner.organisation.save()
    maja = make_member(partner.organisation, email="maja@nordvik.example", language="en")
    remind("2015-11-02")
    relay()
    deliver()
    (mail,) = mailoutbox
    assert mail.to == ["maja@nordvik.example"]
    assert mail.subject == "2 subscriptions must move from their legacy forms by 31 Dec 2015"
    assert "Seats affected: 200" in mail.body
    assert f"http://testserver{TRANSITION}" in mail.body
    web = signed_in(maja)
    assert "was reminded about legacy forms" in web.get(reverse("portal:partner_history")).text
