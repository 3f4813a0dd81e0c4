"""The customer's pages: attaching step by step, removing, undoing, lists, home, history and partners."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import CheckOfId, Customer, Partner, Subscription, Usage
from por.history.actions.relaying import relay
from por.history.models import Event, Outbox
from por.notifications.models import Delivery
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import packed, queries, signed_in

PAGES = [
    "portal:customer_home",
    "associations:subscription_list",
    "portal:customer_history",
    "portal:customer_partners",
]


@pytest.fixture
def viewer(customer: Customer) -> Actor:
    return make_member(customer.organisation, "viewer", name="Per Lund")


def page(subscription: Subscription, verb: str = "detail") -> str:
    return reverse(f"associations:subscription_{verb}", args=[subscription.subscription_id])


def check(web: Client, subscription: Subscription, entered: str, **headers: str) -> Any:
    return web.post(page(subscription, "check"), {"mpn_id": entered}, headers=headers)


def ok(web: Client, subscription: Subscription, partner: Partner, **given: Any) -> Any:
    fields = {"mpn_id": partner.mpn_id, "version": subscription.version} | given
    return web.post(page(subscription, "attach"), fields)


def attached(subscription: Subscription, partner: Partner, admin: Actor, **given: Any) -> Association:
    association = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, **given).association
    subscription.refresh_from_db()
    return association


# --- Attaching, step by step ----------------------------------------------------------------------------------------


def test_page_without_partner_of_record_offers_to_enter_an_id(web, subscription):
    response = web.get(page(subscription))

    assert response.status_code == 200
    assert "No partner attached" in response.text
    assert "Check ID" in response.text
    assert "Office customer portal" in response.text


def test_check_shows_the_partner_and_attaches_nothing(web, subscription, partner):
    response = check(web, subscription, f" {partner.mpn_id[:3]} {partner.mpn_id[3:]} ")

    assert response.status_code == 200
    assert "OK, attach Nordvik Cloud AB" in response.text
    assert "Not attached yet" in response.text
    assert f'value=" {partner.mpn_id[:3]} {partner.mpn_id[3:]} "' in response.text
    assert not Association.objects.exists()
    assert not Event.objects.exists()
    assert CheckOfId.objects.count() == 1


@pytest.mark.parametrize(
    ("entered", "says"),
    [
        ("", "Enter your partner’s MPN ID."),
        ("12ab", "4 to 10 digits"),
        ("1" * 41, "4 to 10 digits"),
        ("4471920", "No partner has this MPN ID"),
        ("9000001", "global account"),
        ("5550001", "suspended"),
    ],
)
def test_check_shows_the_error_and_keeps_the_entered_id(web, subscription, entered, says):
    make_partner("Nordvik Group", mpn_id="9000001", kind="global")
    make_partner("Sjöboda Drift AB", mpn_id="5550001", status="suspended")

    response = check(web, subscription, entered)

    assert response.status_code == 422
    assert "<title>Error: " in packed(response.text)
    assert 'class="esum" role="alert"' in response.text
    assert '<a href="#id_mpn_id">' in response.text
    assert says in response.text
    assert not entered or f'value="{entered}"' in response.text
    assert "OK, attach" not in response.text


def test_too_many_checks_are_refused_with_a_message(web, subscription):
    for _try in range(20):
        check(web, subscription, "4471920")

    assert "Too many IDs have been checked" in check(web, subscription, "4471920").text


def test_check_of_the_partner_of_record_is_refused(web, subscription, partner, admin):
    attached(subscription, partner, admin)

    response = check(web, subscription, partner.mpn_id)

    assert response.status_code == 422
    assert "is already your partner of record" in response.text
    assert "OK, attach" not in response.text


def test_htmx_gets_the_part_of_the_page_it_swaps(web, subscription, partner):
    response = check(web, subscription, partner.mpn_id, **{"HX-Request": "true"})

    assert response.text.lstrip().startswith('<div id="record"')
    assert "<html" not in response.text
    assert "HX-Request" in response.headers["Vary"]


def test_ok_attaches_and_leads_back_to_the_page_with_undo(web, subscription, partner, admin):
    response = ok(web, subscription, partner, note="They run our data centre.")

    assert (response.status_code, response.url) == (302, page(subscription) + "#done")
    association = Association.objects.get()
    assert (association.partner, association.ended_at, association.note) == (partner, None, "They run our data centre.")
    text = web.get(page(subscription)).text
    assert "Nordvik Cloud AB is now your partner of record." in text
    assert "Undo" in text
    assert "Elin Sandberg" in text


def test_ok_twice_makes_one_association(web, subscription, partner):
    ok(web, subscription, partner)

    response = ok(web, subscription, partner)

    assert response.status_code == 302
    assert Association.objects.count() == 1
    assert Event.objects.count() == 1


def test_ok_on_an_outdated_page_shows_the_current_one(web, subscription, partner, admin):
    rival = make_partner("Halden Konsult AB")
    seen = subscription.version
    attached(subscription, rival, admin)

    response = ok(web, subscription, partner, version=seen)

    assert response.status_code == 409
    assert "has changed since you opened it" in response.text
    assert "Halden Konsult AB" in response.text
    assert Association.objects.get().partner == rival


def test_ok_for_a_suspended_partner_is_refused(web, subscription, partner):
    Partner.objects.filter(pk=partner.pk).update(status="suspended")

    response = ok(web, subscription, partner)

    assert response.status_code == 409
    assert "suspended" in response.text
    assert "OK, attach" not in response.text


@pytest.mark.parametrize(
    ("began_on", "says"),
    [
        ("2020-01-01", "up to 12 months ago"),
        ("soon", "Enter a date as year-month-day"),
        ("2126-01-01", "cannot be in the future"),
    ],
)
def test_invalid_start_is_shown_at_its_field(web, subscription, partner, began_on, says):
    response = ok(web, subscription, partner, began_on=began_on, note="kept")

    assert response.status_code == 422
    assert says in response.text
    assert '<a href="#id_began_on">' in response.text
    assert f'value="{began_on}"' in response.text
    assert "kept" in response.text
    assert "OK, attach Nordvik Cloud AB" in response.text
    assert not Association.objects.exists()


def test_start_in_the_past_is_accepted(web, subscription, partner):
    day = timezone.now().date() - timedelta(days=40)

    ok(web, subscription, partner, began_on=day.isoformat())

    assert Association.objects.get().began_at == datetime(day.year, day.month, day.day, tzinfo=UTC)


def test_own_use_is_shown_before_and_after_ok(web, subscription, customer, admin):
    own = make_partner("Västerhamn IT AB", own_tenant_id=customer.tenant_id)

    assert "earns no incentives" in check(web, subscription, own.mpn_id).text
    ok(web, subscription, own)

    assert "Own use: counts towards competencies, earns no incentives" in web.get(page(subscription)).text


@pytest.mark.parametrize(
    ("status", "says"),
    [("expired", "has expired"), ("suspended", "is not active"), ("grace", "is not active")],
)
def test_inactive_subscription_shows_why_it_has_no_form(web, customer, partner, status, says):
    subscription = make_subscription(customer, status=status)

    text = web.get(page(subscription)).text
    refused = ok(web, subscription, partner)

    assert says in text
    assert "Check ID" not in text
    assert refused.status_code == 409
    assert not Association.objects.exists()


# --- Removing and undoing -------------------------------------------------------------------------------------------


def test_one_click_removes_the_partner_with_a_reason(web, subscription, partner, admin):
    attached(subscription, partner, admin)

    response = web.post(
        page(subscription, "remove"),
        {"version": subscription.version, "reason": "project_ended", "text": "Thank you."},
    )

    assert (response.status_code, response.url) == (302, page(subscription) + "#done")
    assert Association.objects.get().end_note == "The project has ended. Thank you."
    text = web.get(page(subscription)).text
    assert "Nordvik Cloud AB is no longer your partner of record." in text
    assert "<q>The project has ended. Thank you.</q>" in text
    assert "Check ID" in text


def test_only_an_active_partner_is_offered_for_other_subscriptions(web, customer, subscription, partner, admin):
    make_subscription(customer)
    attached(subscription, partner, admin)
    assert "Attach Nordvik Cloud AB" in web.get(page(subscription)).text

    Partner.objects.update(status=Partner.Status.SUSPENDED)

    assert "Attach Nordvik Cloud AB" not in web.get(page(subscription)).text


def test_removing_needs_no_reason_and_a_second_click_does_nothing(web, subscription, partner, admin):
    attached(subscription, partner, admin)
    seen = {"version": subscription.version}

    web.post(page(subscription, "remove"), seen)
    response = web.post(page(subscription, "remove"), seen)

    assert response.status_code == 302
    assert Event.objects.filter(verb="partner_of_record.removed").count() == 1


def test_removing_from_an_outdated_page_shows_the_current_one(web, subscription, partner, admin):
    seen = subscription.version
    attached(subscription, partner, admin)

    response = web.post(page(subscription, "remove"), {"version": seen, "text": "kept"})

    assert response.status_code == 409
    assert "kept" in response.text
    assert Association.objects.get().ended_at is None


def test_undo_reverts_the_attach(web, subscription, partner, admin):
    attached(subscription, partner, admin)

    response = web.post(page(subscription, "undo"), {"version": subscription.version}, follow=True)

    assert "Undone. This subscription has no partner of record." in response.text
    assert Association.objects.get().undone_at is not None


def test_undo_brings_the_removed_partner_back(web, subscription, partner, admin):
    association = attached(subscription, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)
    subscription.refresh_from_db()

    response = web.post(page(subscription, "undo"), {"version": subscription.version}, follow=True)

    assert "Undone. Nordvik Cloud AB is the partner of record again." in response.text
    assert Association.objects.open().get() == association


def test_second_undo_does_nothing_and_undo_of_nothing_is_refused(web, subscription, partner, admin):
    attached(subscription, partner, admin)
    seen = {"version": subscription.version}
    web.post(page(subscription, "undo"), seen)

    assert web.post(page(subscription, "undo"), seen).status_code == 302
    refused = web.post(page(subscription, "undo"), {})
    assert refused.status_code == 409
    assert "There is nothing to undo." in refused.text


def test_undo_is_not_offered_when_its_time_is_over(web, subscription, partner, admin):
    association = attached(subscription, partner, admin)
    Association.objects.filter(pk=association.pk).update(attached_at=timezone.now() - timedelta(minutes=31))

    assert "is now your partner of record" not in web.get(page(subscription)).text


# --- Rights ---------------------------------------------------------------------------------------------------------


def test_viewer_sees_everything_and_no_controls(viewer, admin, subscription, partner):
    attached(subscription, partner, admin)
    text = signed_in(viewer).get(page(subscription)).text

    assert "Nordvik Cloud AB" in text
    assert not re.search(r"<form[^>]*/c/subscriptions/[0-9a-f]", text)
    assert "Undo" not in text


def test_viewer_reads_who_can_attach_a_partner(viewer, subscription):
    assert "An administrator of your organisation can attach a partner here." in (
        signed_in(viewer).get(page(subscription)).text
    )


@pytest.mark.parametrize("verb", ["check", "attach", "remove", "undo"])
def test_viewer_may_change_nothing(viewer, subscription, partner, verb):
    response = signed_in(viewer).post(page(subscription, verb), {"mpn_id": partner.mpn_id})

    assert response.status_code == 403
    assert not Association.objects.exists()


@pytest.mark.parametrize("verb", ["detail", "history", "check", "attach", "remove", "undo"])
def test_another_customers_subscription_is_not_found(web, partner, verb):
    foreign = make_subscription(make_customer("Torsnäs Hamn AB"))
    method = web.get if verb in {"detail", "history"} else web.post

    assert method(page(foreign, verb), {"mpn_id": partner.mpn_id}).status_code == 404


@pytest.mark.parametrize("verb", ["check", "attach", "remove", "undo"])
def test_link_to_a_step_redirects_to_the_page(web, subscription, verb):
    response = web.get(page(subscription, verb))

    assert (response.status_code, response.url) == (302, page(subscription))


@pytest.mark.parametrize("name", PAGES)
def test_partner_may_not_open_a_customers_pages(partner, name):
    response = signed_in(make_member(partner.organisation)).get(reverse(name))

    assert response.status_code == 403
    assert "This page is for customers." in response.text


# --- The timeline ---------------------------------------------------------------------------------------------------


def test_page_shows_each_period_with_who_began_and_ended_it(web, subscription, admin):
    began = timezone.now().date() - timedelta(days=90)
    attached(subscription, make_partner("Halden Konsult AB"), admin, began_on=began)
    attaching.remove(subscription.subscription_id, by=admin, reason="Their rollout project ended in October.")

    periods = web.get(page(subscription)).context["periods"]

    (period,) = periods
    assert period.association.began_at.date() == began
    assert (period.began_by, period.ended_by) == ("Elin Sandberg", "Elin Sandberg")
    assert period.association.end_note == "Their rollout project ended in October."


def test_history_of_a_subscription_lists_every_event_newest_first(web, subscription, partner, admin):
    attached(subscription, partner, admin)
    attaching.remove(subscription.subscription_id, by=admin)

    response = web.get(page(subscription, "history"))

    assert [item.icon for item in response.context["events"]] == ["x", "link"]
    assert "2 events" in response.text


# --- Usage ----------------------------------------------------------------------------------------------------------


def test_usage_is_shown_as_seats_in_use(web, subscription):
    Usage.objects.create(
        subscription=subscription, month=date(2026, 9, 1), workload="exo", paid_units=420, active_users=340
    )
    Usage.objects.create(
        subscription=subscription, month=date(2026, 10, 1), workload="exo", paid_units=420, active_users=361
    )

    text = web.get(page(subscription)).text

    assert "<b>361</b>" in text
    assert "of 420 seats" in text
    assert "86% active in Oct 2026" in text
    assert 'class="spark' in text


def test_azure_shows_consumption(web, customer):
    azure = make_subscription(customer, product="azure", sku=None, seats=None, agreement="MOSA")
    Usage.objects.create(subscription=azure, month=date(2026, 10, 1), workload="azure", consumed_usd="9500.50")

    assert "USD\xa09,500.50" in web.get(page(azure)).text


# --- Lists ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def estate(customer: Customer, partner: Partner, admin: Actor) -> dict[str, Subscription]:
    """One subscription of each sort that the views distinguish."""
    soon = timezone.now().date() + timedelta(days=30)
    found = {
        "held": make_subscription(customer),
        "free": make_subscription(customer, product="intune", sku_string_id="INTUNE_A"),
        "renewing": make_subscription(customer, renews_on=soon),
        "expired": make_subscription(customer, status="expired", renews_on=soon),
    }
    for name in ("held", "renewing"):
        attached(found[name], partner, admin)
    return found


def shown(response: Any) -> set[Subscription]:
    return {row.subscription for row in response.context["rows"]}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"held", "free", "renewing", "expired"}),
        ("?view=no_partner", {"free"}),
        ("?view=renewing", {"renewing"}),
        ("?product=intune", {"free"}),
        ("?status=expired", {"expired"}),
        ("?partner_of_record=none", {"free", "expired"}),
        ("?search=nordvik", {"held", "renewing"}),
        ("?search=intune&status=active", {"free"}),
    ],
)
def test_list_shows_what_its_view_and_filters_ask_for(web, estate, query, names):
    response = web.get(reverse("associations:subscription_list") + query)

    assert shown(response) == {estate[name] for name in names}
    assert f'role="status">{len(names)} subscription' in response.text


def test_counts_of_the_views_equal_their_lists(web, estate):
    tabs = web.get(reverse("associations:subscription_list")).context["tabs"]

    assert [tab.count for tab in tabs] == [len(shown(web.get(tab.url))) for tab in tabs] == [4, 1, 1, 0]


def test_each_filter_has_a_chip_that_removes_it(web, estate):
    url = reverse("associations:subscription_list")
    response = web.get(f"{url}?view=no_partner&product=intune&status=active")

    assert [(chip.label, chip.value) for chip in response.context["chips"]] == [
        ("Product", "Microsoft Intune"),
        ("Status", "Active"),
    ]
    assert response.context["chips"][0].url == "?view=no_partner&status=active"
    assert response.context["clear_url"] == "?view=no_partner"


def test_empty_filtered_list_offers_to_clear_the_filters(web, estate):
    response = web.get(reverse("associations:subscription_list") + "?product=azure")

    assert "No subscriptions match" in response.text
    assert "Clear filters" in response.text


def test_customer_without_subscriptions_gets_a_message(web):
    assert "No subscriptions yet" in web.get(reverse("associations:subscription_list")).text
    assert "No subscriptions yet" in web.get(reverse("portal:customer_home")).text


def test_too_short_search_is_refused(web, estate):
    response = web.get(reverse("associations:subscription_list") + "?search=a")

    assert response.status_code == 422
    assert "Enter at least 2 characters to search." in response.text
    assert "<title>Error: " in packed(response.text)


def test_csv_has_the_rows_of_the_filtered_list(web, estate):
    response = web.get(reverse("associations:subscription_list") + "?view=no_partner&format=csv")

    header, *rows = b"".join(response).decode("utf-8").splitlines()
    assert header.startswith("\ufeffsubscription_id,customer,")
    assert [row.split(",")[0] for row in rows] == [str(estate["free"].subscription_id)]
    assert 'filename="subscriptions-' in response["Content-Disposition"]


def test_csv_of_a_swedish_reader_has_semicolons_and_no_formulas(admin, customer):
    customer.organisation.name = "=cmd|' /C calc'!A0"
    customer.organisation.save()
    make_subscription(customer)
    assert admin.user is not None
    admin.user.language = "sv"
    admin.user.save()

    response = signed_in(admin).get(reverse("associations:subscription_list") + "?format=csv")

    text = b"".join(response).decode("utf-8")
    assert ";'=cmd|' /C calc'!A0;" in text


def test_pages_follow_each_other_both_ways_without_a_gap(web, customer, monkeypatch):
    monkeypatch.setattr("por.web.lists.PAGE_SIZE", 3)
    everything = [make_subscription(customer) for _number in range(8)]
    url = reverse("associations:subscription_list")

    pages = [web.get(url)]
    while pages[-1].context["page"].next:
        pages.append(web.get(url + pages[-1].context["page"].next))
    back = web.get(url + pages[-1].context["page"].previous)

    assert [row.subscription for each in pages for row in each.context["rows"]] == everything
    assert shown(back) == shown(pages[1])
    assert web.get(url + back.context["page"].previous).context["page"].previous == ""


def test_forged_cursor_starts_at_the_beginning(web, estate):
    assert len(shown(web.get(reverse("associations:subscription_list") + "?cursor=WzEsMl0:x:y"))) == 4


def test_home_counts_what_its_links_show(web, estate):
    response = web.get(reverse("portal:customer_home"))

    assert "1 subscription has no partner" in response.text
    assert "1 subscription renews within 90 days" in response.text
    assert "4 subscriptions" in response.text
    assert "Nordvik Cloud AB" in response.text  # among the latest events


def test_home_links_to_the_whole_list_if_it_shows_only_some(web, customer):
    for _number in range(5):
        make_subscription(customer)
    assert "See all 5" not in web.get(reverse("portal:customer_home")).text

    make_subscription(customer)

    assert "See all 6" in web.get(reverse("portal:customer_home")).text


def test_home_shows_that_no_action_is_needed(web, subscription, partner, admin):
    attached(subscription, partner, admin)

    assert "No action needed" in web.get(reverse("portal:customer_home")).text


def test_history_can_be_filtered_and_exported(web, estate, admin):
    attaching.remove(estate["held"].subscription_id, by=admin, reason="-1 for them")
    url = reverse("portal:customer_history")

    assert len(web.get(url).context["events"]) == 3
    assert len(web.get(f"{url}?what=removed").context["events"]) == 1
    narrowed = web.get(f"{url}?subscription={estate['held'].subscription_id}")
    assert len(narrowed.context["events"]) == 2
    assert narrowed.context["chips"][0].value.startswith("Office 365 E3")
    assert web.get(f"{url}?what=undone").context["events"] == []
    lines = b"".join(web.get(f"{url}?what=removed&format=csv")).decode().splitlines()
    assert len(lines) == 2
    assert lines[1].endswith(",'-1 for them")
    assert "+00:00" not in lines[1]  # an instant has a Z in every column


def test_partners_are_listed_with_the_number_their_link_shows(web, estate, customer, partner):
    rival = make_partner("Halden Konsult AB")
    Association.objects.create(
        kind="delegated_admin", customer=customer, partner=rival, began_at=timezone.now(), source="estate"
    )
    Association.objects.create(
        kind="dpor",
        customer=make_customer("Torsnäs Hamn AB"),
        subscription=make_subscription(make_customer("Almviks kommun")),
        partner=partner,
        began_at=timezone.now(),
        source="estate",
    )

    response = web.get(reverse("portal:customer_partners"))

    assert [(one.organisation.name, one.of_record, kinds) for one, kinds, _admin in response.context["partners"]] == [
        ("Halden Konsult AB", 0, ["Delegated administrator"]),
        ("Nordvik Cloud AB", 2, ["Partner of record"]),
    ]
    linked = web.get(reverse("associations:subscription_list") + f"?partner_of_record={partner.mpn_id}")
    assert len(shown(linked)) == 2


@pytest.mark.parametrize("name", PAGES)
def test_queries_of_a_page_do_not_grow_with_its_rows(web, estate, customer, admin, name):
    def get() -> Any:
        return web.get(reverse(name))

    before = queries(get)
    for number in range(4):
        attached(make_subscription(customer), make_partner(f"Partner {number} AB"), admin)
        make_subscription(customer, renews_on=timezone.now().date() + timedelta(days=5))

    assert queries(get) == before


def test_queries_of_a_subscriptions_page_do_not_grow_with_its_history(web, subscription, partner, admin):
    attached(subscription, partner, admin)

    def get() -> Any:
        return web.get(page(subscription))

    before = queries(get)
    for _time in range(3):
        attaching.remove(subscription.subscription_id, by=admin)
        attached(subscription, make_partner(f"Partner {uuid.uuid4()}"), admin)

    assert queries(get) == before


def test_periods_are_shown_in_utc_days_in_every_time_zone(web, admin, subscription, partner):
    assert admin.user is not None
    admin.user.time_zone, admin.user.own_time_zone = "America/Los_Angeles", True
    admin.user.save()
    began = timezone.now().date() - timedelta(days=60)
    attached(subscription, partner, admin, began_on=began)

    assert f'<time datetime="{began.isoformat()}">' in web.get(page(subscription)).text


# --- Mail that is late ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waiting", ["event", "message"])
def test_page_that_announces_mail_shows_if_mail_is_late(web, subscription, partner, admin, waiting):
    late = "Emails are delayed at the moment. We will send them automatically."
    make_member(partner.organisation)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)

    def text() -> str:
        return web.get(page(subscription)).content.decode()

    assert "Nordvik Cloud AB is told by email." in text()
    assert late not in text()
    if waiting == "message":
        relay()
        Delivery.objects.update(next_at=timezone.now() - timedelta(minutes=6))
    else:
        Outbox.objects.update(next_at=timezone.now() - timedelta(minutes=6))
    with CaptureQueriesContext(connection) as queries:
        assert late in text()
    assert len([one for one in queries if "notifications_delivery" in one["sql"]]) == 1
    Outbox.objects.update(done_at=timezone.now())
    Delivery.objects.update(status=Delivery.Status.SENT)
    assert late not in text()


def test_page_without_announced_mail_does_not_query_for_late_mail(web, subscription):
    with CaptureQueriesContext(connection) as queries:
        web.get(page(subscription))
    assert not [one for one in queries if "notifications_delivery" in one["sql"]]
