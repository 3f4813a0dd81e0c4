"""Change requests on the pages of the customer and of the partners in them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from associations import tasks
from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.record import policies
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Partner, Subscription, Usage
from por.history.models import Event
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import packed, queries, signed_in

WHO = "Which partner is doing the work?"


@pytest.fixture
def rival() -> Partner:
    return make_partner("Halden Konsult AB")


def of(partner: Partner, role: str = "administrator") -> Client:
    return signed_in(make_member(partner.organisation, role))


@pytest.fixture
def held(subscription: Subscription, partner: Partner, admin: Actor) -> Subscription:
    """Return a subscription whose partner of record has been Nordvik for 60 days."""
    began = timezone.now().date() - timedelta(days=60)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=began)
    subscription.refresh_from_db()
    return subscription


@pytest.fixture
def asked(held: Subscription, rival: Partner, admin: Actor) -> ChangeRequest:
    """Return the change request in which Halden was proposed."""
    return propose(held, rival, admin)


def propose(subscription: Subscription, partner: Partner, admin: Actor, note: str = "") -> ChangeRequest:
    attached = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, note=note)
    subscription.refresh_from_db()
    assert attached.request
    return attached.request


def page(subscription: Subscription, verb: str = "detail") -> str:
    return reverse(f"associations:subscription_{verb}", args=[subscription.subscription_id])


def customer_page(request: ChangeRequest, verb: str = "") -> str:
    return reverse("associations:change_request" + (verb and f"_{verb}"), args=[request.pk])


def partner_page(request: ChangeRequest, verb: str = "") -> str:
    return reverse("associations:partner_change_request" + (verb and f"_{verb}"), args=[request.pk])


def check(web: Client, subscription: Subscription, partner: Partner) -> Any:
    return web.post(page(subscription, "check"), {"mpn_id": partner.mpn_id})


def press_attach(web: Client, subscription: Subscription, partner: Partner, **given: Any) -> Any:
    fields = {"mpn_id": partner.mpn_id, "version": subscription.version} | given
    return web.post(page(subscription, "attach"), fields)


def answer(web: Client, request: ChangeRequest, mpn_id: str, **given: Any) -> Any:
    request.refresh_from_db()
    return web.post(customer_page(request, "answer"), {"mpn_id": mpn_id, "version": request.version} | given)


def holder(subscription: Subscription) -> Partner | None:
    held = Association.objects.open().of_record().filter(subscription=subscription).first()
    return held and held.partner


def text_of(response: Any) -> str:
    """Return the text of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.text)).replace(" ,", ",").replace(" .", ".")


def test_usage_now_is_shown_once_and_not_as_the_merit_of_a_party(web, held, asked):
    Usage.objects.create(
        subscription=held, month=timezone.now().date().replace(day=1), workload="exo", paid_units=420, active_users=324
    )
    text = web.get(reverse("associations:change_request", args=[asked.pk])).text
    sides, rest = text.split("Your answer", 1)
    assert "Usage now" not in sides
    assert rest.count("Usage now") == 1


# --- Naming another partner -----------------------------------------------------------------------------------------


def test_page_shows_before_the_click_who_stays_who_is_notified_and_the_deadline(web, held, partner, rival):
    offered = web.get(page(held)).text
    assert 'href="?change#change"' in offered
    assert "Ask both first" not in offered
    events = Event.objects.count()

    response = check(web, held, rival)

    assert response.status_code == 200
    text = text_of(response)
    assert "Nordvik Cloud AB stays the partner of record until an administrator of your organisation answers" in text
    assert "We tell both partners, Nordvik Cloud AB and Halden Konsult AB, immediately" in text
    assert "We tell both, and each can tell you what they do for you" in text
    assert re.search(r"You have until the end of [A-Z]\w+day \d+ \w+( \d{4})? to answer", text)
    assert "If no one answers, Nordvik Cloud AB stays" in text
    assert "Ask both first" in text
    assert "OK, attach" not in text
    assert not ChangeRequest.objects.exists()
    assert Event.objects.count() == events


def test_two_clicks_open_one_change_request_and_the_banner_links_to_it(web, held, partner, rival):
    seen = held.version
    responses = [press_attach(web, held, rival, version=seen, note="They run our rollout.") for _press in range(2)]

    assert [(one.status_code, one.url) for one in responses] == [(302, page(held) + "#done")] * 2
    request = ChangeRequest.objects.get()
    assert holder(held) == partner
    assert Event.objects.filter(verb="change_request.opened").count() == 1
    response = web.get(page(held))
    assert "Change request open: which partner is doing the work?" in response.text
    assert "Nordvik Cloud AB stays the partner of record until the change request is answered." in text_of(response)
    assert customer_page(request) in response.text
    assert "cancels the open change request" in response.text


def test_third_partner_joins_and_a_party_is_not_added_again(web, held, rival, asked):
    third = make_partner("Sjöboda Drift AB")

    assert "We add Sjöboda Drift AB to the open change request" in text_of(check(web, held, third))
    assert press_attach(web, held, third).status_code == 302
    again = check(web, held, rival)

    assert again.status_code == 422
    assert "A change request about Halden Konsult AB is already open." in again.text
    assert asked.challengers.count() == 2


def test_page_shows_why_attaching_is_not_possible_and_a_viewer_gets_no_button(web, customer, held, rival, asked):
    viewer = signed_in(make_member(customer.organisation, "viewer"))
    text = viewer.get(page(held)).text
    assert "View change request" in text
    assert "Change partner" not in text

    refused = press_attach(web, held, make_partner("Torsnäs IT AB"), began_on="2026-01-01", version="")
    assert refused.status_code == 422
    assert '<a href="#id_began_on">' in refused.text
    assert 'name="began_on"' in refused.text

    Partner.objects.filter(pk=rival.pk).update(status="suspended")
    assert "suspended" in press_attach(web, held, rival).text
    held.status = Subscription.Status.SUSPENDED
    held.save()
    assert "Change partner" not in web.get(f"{page(held)}?change").text
    assert press_attach(web, held, make_partner("Almviks Data AB")).status_code == 409


# --- The customer --------------------------------------------------------------------------------------------------


def test_page_shows_the_parties_side_by_side(web, customer, held, partner, rival, asked):
    for back, active in ((3, 100), (1, 310)):
        month = policies.months_before(timezone.now().date().replace(day=1), back)
        Usage.objects.create(subscription=held, month=month, workload="exo", paid_units=420, active_users=active)
    elsewhere = make_subscription(customer)
    attaching.attach(elsewhere.subscription_id, rival.mpn_id, by=make_member(customer.organisation))
    change_requests.submit_statement(
        asked.pk, "We run Exchange.\nAnd the helpdesk.", by=make_member(partner.organisation)
    )

    response = web.get(customer_page(asked))

    assert response.status_code == 200
    (incumbent, first), (challenger, second) = response.context["sides"]
    assert (incumbent.partner, challenger.partner) == (partner, rival)
    assert (first.here_since, second.here_since) == (incumbent.since, None)
    assert second.there_since is not None
    text = text_of(response)
    assert WHO in text
    assert "We run Exchange. And the helpdesk." in text
    assert "This partner has not written anything yet." in text
    assert "310 / 420" in text
    assert "Proposed Proposed" not in text
    assert re.search(r"Answer by the end of [A-Z]\w+day \d+ \w+( \d{4})?", text)
    assert "Stays your partner of record." in text
    assert "Replaces Nordvik Cloud AB as your partner of record immediately." in text
    assert "Answer later" in text


@pytest.mark.parametrize("choice", ["incumbent", "challenger", "neither"])
def test_answer_changes_the_partner_of_record_and_can_be_undone(web, held, partner, rival, asked, choice):
    given = {"incumbent": partner.mpn_id, "challenger": rival.mpn_id, "neither": "none"}[choice]

    response = answer(web, asked, given, statement="Halden set it up.")

    assert (response.status_code, response.url) == (302, customer_page(asked) + "#done")
    asked.refresh_from_db()
    assert (asked.status, asked.answer_statement) == ("answered", "Halden set it up.")
    assert holder(held) == {"incumbent": partner, "challenger": rival, "neither": None}[choice]
    said = {
        "incumbent": "You answered: Nordvik Cloud AB is doing the work and is still your partner of record.",
        "challenger": "You answered: Halden Konsult AB is doing the work and is now your partner of record.",
        "neither": "You answered: neither partner is doing the work."
        " Nordvik Cloud AB is no longer your partner of record.",
    }[choice]
    for where in (customer_page(asked), page(held)):
        text = web.get(where).text
        assert said in text
        assert "Undo" in text
    closed = text_of(web.get(customer_page(asked)))
    assert "Halden set it up." in closed
    assert "Elin Sandberg" in closed
    assert "Send answer" not in closed

    held.refresh_from_db()
    undone = web.post(page(held, "undo"), {"version": held.version}, follow=True)

    assert undone.redirect_chain == [(customer_page(asked), 302)]
    assert "Undone. The change request is open again." in undone.text
    assert "Send answer" in undone.text
    assert holder(held) == partner
    assert "You answered" not in web.get(page(held)).text


def test_two_clicks_on_an_answer_show_the_same_page_and_answer_once(web, asked, rival):
    fields = {"mpn_id": rival.mpn_id, "version": asked.version}
    answers = [web.post(customer_page(asked, "answer"), fields) for _press in range(2)]

    assert [one.status_code for one in answers] == [302, 302]
    assert Event.objects.filter(verb="change_request.answered").count() == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Choose an answer, or come back later"),
        ({"mpn_id": "9999999"}, "Choose one of the partners shown here, or choose neither."),
        ({"mpn_id": "none", "statement": "x" * 2001}, "at most 2000 characters"),
        ({"mpn_id": "none", "version": "one"}, "whole number"),
    ],
)
def test_wrong_answer_shows_an_error_in_the_form(web, held, partner, asked, given, says):
    response = web.post(customer_page(asked, "answer"), given)

    assert response.status_code == 422
    assert says in response.text
    assert "<title>Error: " in packed(response.text)
    assert "Send answer" in response.text
    assert holder(held) == partner


def test_answer_to_a_changed_change_request_shows_the_changes(web, held, admin, rival, asked):
    seen = asked.version
    third = make_partner("Sjöboda Drift AB")
    propose(held, third, admin)
    change_requests.submit_statement(asked.pk, "We do the helpdesk.", by=make_member(rival.organisation))

    response = web.post(customer_page(asked, "answer"), {"mpn_id": rival.mpn_id, "version": seen, "statement": "kept"})

    assert response.status_code == 409
    assert "This change request has changed since you opened it. Check the changes, then try again." in response.text
    assert [re.sub("<[^>]+>", "", item.sentence) for item in response.context["since"]] == [
        "Halden Konsult AB wrote a statement for the customer",
        "Sjöboda Drift AB was added to the change request",
    ]
    assert "kept" in response.text
    assert len(response.context["sides"]) == 3
    asked.refresh_from_db()
    assert f'name="version" value="{asked.version}"' in response.text
    assert (
        web.post(customer_page(asked, "answer"), {"mpn_id": rival.mpn_id, "version": asked.version}).status_code == 302
    )


def test_late_answer_shows_how_the_change_request_ended(web, held, partner, rival, asked):
    answer(web, asked, partner.mpn_id)
    late = answer(web, asked, rival.mpn_id, version="")
    assert late.status_code == 409
    assert "This change request has been answered." in late.text
    assert "Nordvik Cloud AB is doing the work and stayed the partner of record." in text_of(late)

    undo.undo(held.subscription_id, by=make_member(held.customer.organisation))
    ChangeRequest.objects.update(
        due_at=timezone.now() - timedelta(minutes=1), opened_at=timezone.now() - timedelta(days=20)
    )
    tasks.run_scheduled()
    late = answer(web, asked, rival.mpn_id, version="")
    assert late.status_code == 409
    assert "The change request was not answered in time. Nordvik Cloud AB stayed the partner of record." in text_of(
        late
    )


@pytest.mark.parametrize(
    ("chosen", "nordvik", "halden"),
    [
        ("halden", "Former partner of record", "Partner of record"),
        ("nordvik", "Partner of record", "Proposed"),
        ("neither", "Former partner of record", "Proposed"),
    ],
)
def test_closed_change_request_says_who_is_of_record_now(web, partner, rival, asked, chosen, nordvik, halden):
    mpn_id = {"nordvik": partner.mpn_id, "halden": rival.mpn_id, "neither": "none"}[chosen]
    assert answer(web, asked, mpn_id).status_code == 302
    page = web.get(customer_page(asked)).text
    sides = re.findall(r'aria-labelledby="side-\d".*?</section>', page, re.DOTALL)
    for side, badge in zip(sides, (nordvik, halden), strict=True):
        (shown,) = re.findall(r'<span class="badge[^"]*">.*?</span>', side, re.DOTALL)
        assert re.sub("<[^>]+>", "", shown).strip() == badge


def test_challenger_that_cannot_be_attached_is_refused_with_a_message(web, held, partner, rival, asked):
    Partner.objects.filter(pk=rival.pk).update(status="suspended")
    assert "Suspended" in web.get(customer_page(asked)).text

    response = answer(web, asked, rival.mpn_id)

    assert response.status_code == 409
    assert "suspended" in response.text
    assert holder(held) == partner


def test_removing_the_partner_of_record_closes_the_change_request(web, held, asked):
    web.post(page(held, "remove"), {"version": held.version})

    text = web.get(customer_page(asked)).text
    assert "The change request was cancelled" in text
    assert "The partner of record was removed" in text
    assert "Change request open" not in web.get(page(held)).text


def test_change_request_can_be_forwarded_only_to_a_colleague(web, customer, asked, admin):
    colleague = make_member(customer.organisation, "viewer", name="Per Lund")
    stranger = make_member(make_customer("Torsnäs Hamn AB").organisation)
    choices = dict(web.get(customer_page(asked)).context["forward_form"].fields["member"].choices)
    assert list(choices.values())[1:] == ["Per Lund, Viewer"]
    (member,) = colleague.user.memberships.all()
    (foreign,) = stranger.user.memberships.all()

    response = web.post(customer_page(asked, "forward"), {"member": member.pk, "note": "You know them."}, follow=True)

    assert "Forwarded. We will email Per Lund." in response.text
    assert "was forwarded to Per Lund" in text_of(response)
    for wrong in (foreign.pk, "", "me"):
        refused = web.post(customer_page(asked, "forward"), {"member": wrong, "note": "kept"})
        assert refused.status_code == 422
        assert "kept" in refused.text
    assert Event.objects.filter(verb="change_request.forwarded").count() == 1
    answer(web, asked, "none")
    assert web.post(customer_page(asked, "forward"), {"member": member.pk}).status_code == 409


def test_viewer_can_read_the_change_request_and_strangers_find_nothing(customer, held, asked):
    viewer = signed_in(make_member(customer.organisation, "viewer"))
    text = viewer.get(customer_page(asked)).text
    assert WHO in text
    assert "An administrator of your organisation can answer." in text
    assert not re.search(r"<form[^>]*/c/change", text)
    stranger = signed_in(make_member(make_customer("Torsnäs Hamn AB").organisation))
    for verb in ("answer", "forward"):
        assert viewer.post(customer_page(asked, verb), {"mpn_id": "none"}).status_code == 403
        assert stranger.post(customer_page(asked, verb), {"mpn_id": "none"}).status_code == 404
        assert viewer.get(customer_page(asked, verb)).url == customer_page(asked)
    assert stranger.get(customer_page(asked)).status_code == 404
    assert of(make_partner("Almviks Data AB")).get(partner_page(asked)).status_code == 404


def test_open_change_requests_are_first_on_the_home_page_and_marked_in_lists(web, held, partner, rival, asked):
    home = web.get(reverse("portal:customer_home")).text
    assert "Which partner is doing the work for Office 365 E3?" in home
    assert home.index("Which partner is doing the work for") < home.index("Latest events")
    assert "Nordvik Cloud AB is the partner of record, and Halden Konsult AB has been proposed." in home
    assert "Change request open" in web.get(reverse("associations:subscription_list")).text
    listed = reverse("associations:change_request_list")
    response = web.get(listed)
    assert [tab.count for tab in response.context["tabs"]] == [1, 0]
    assert customer_page(asked) in response.text

    answer(web, asked, "none")

    assert "Which partner is doing the work for" not in web.get(reverse("portal:customer_home")).text
    assert "Change request open" not in web.get(reverse("associations:subscription_list")).text
    assert "No open change requests" in web.get(listed).text
    closed = text_of(web.get(f"{listed}?view=closed"))
    assert "Answered Neither" in closed


# --- The partners ---------------------------------------------------------------------------------------------------


def test_party_sees_the_other_partners_name_and_dates_but_not_its_statement(held, partner, rival, asked):
    change_requests.submit_statement(asked.pk, "We run Exchange.", by=make_member(partner.organisation))
    change_requests.submit_statement(asked.pk, "We did the rollout.", by=make_member(rival.organisation))

    for us, own, other in (
        (partner, "We run Exchange.", "We did the rollout."),
        (rival, "We did the rollout.", "We run Exchange."),
    ):
        text = of(us).get(partner_page(asked)).text
        assert "We have asked Västerhamn Energi AB which partner is doing the work" in text
        assert "Nordvik Cloud AB" in text
        assert "Halden Konsult AB" in text
        assert "Office 365 E3" in text
        assert "420 seats" in text
        assert own in text
        assert other not in text


def test_subscription_is_a_link_for_the_incumbent_but_not_for_a_challenger(held, partner, rival, asked):
    url = reverse("associations:partner_subscription_detail", args=[held.subscription_id])
    assert url in of(partner).get(partner_page(asked)).text
    web = of(rival)
    assert url not in web.get(partner_page(asked)).text
    assert web.get(url).status_code == 404


def test_party_can_submit_and_change_its_statement_until_the_answer(web, asked, rival):
    hugo = of(rival, "incentives")

    response = hugo.post(partner_page(asked, "state"), {"text": "We did the rollout."}, follow=True)
    assert "The customer can now read what you do for them." in response.text
    hugo.post(partner_page(asked, "state"), {"text": "We did the rollout, and run it."})
    empty = hugo.post(partner_page(asked, "state"), {"text": "  "})
    assert empty.status_code == 422
    assert "Enter what you do for the customer." in empty.text
    assert "We did the rollout, and run it." in web.get(customer_page(asked)).text

    answer(web, asked, rival.mpn_id, statement="Thank you, Nordvik.")

    text = hugo.get(partner_page(asked)).text
    assert "Halden Konsult AB is doing the work and has become the partner of record." in text
    assert "Thank you, Nordvik." in text
    assert "Update statement" not in text
    late = hugo.post(partner_page(asked, "state"), {"text": "And more."})
    assert late.status_code == 409
    assert "This change request has been answered." in late.text


def test_viewer_of_a_partner_can_read_and_the_dashboard_links_to_the_change_request(partner, rival, asked):
    vera = of(rival, "viewer")
    assert vera.post(partner_page(asked, "state"), {"text": "x"}).status_code == 403
    assert "<textarea" not in vera.get(partner_page(asked)).text
    home = vera.get(reverse("portal:partner_home")).text
    assert "We have asked Västerhamn Energi AB which partner is doing the work for Office 365 E3" in home
    assert "You have been proposed. Another partner is the current partner of record." in home
    assert partner_page(asked) in home
    nils = of(partner)
    assert (
        "You are the partner of record, and another partner has been proposed."
        in nils.get(reverse("portal:partner_home")).text
    )
    assert "Change request open" in nils.get(reverse("associations:partner_subscription_list")).text
    assert partner_page(asked) in nils.get(reverse("associations:partner_change_request_list")).text
    assert (
        "which partner is doing the work"
        not in of(make_partner("Almviks Data AB")).get(reverse("portal:partner_home")).text
    )


# --- History --------------------------------------------------------------------------------------------------------


def lines(web: Client, address: str) -> list[str]:
    return [re.sub("<[^>]+>", "", item.sentence) for item in web.get(address).context["events"]]


def test_history_shows_each_reader_what_it_may_know(web, customer, held, partner, rival, admin, asked):
    change_requests.submit_statement(asked.pk, "We did the rollout.", by=make_member(rival.organisation))
    (member,) = make_member(customer.organisation, name="Per Lund").user.memberships.all()
    change_requests.forward(asked.pk, member.pk, by=admin)
    answer(web, asked, "none")
    undo.undo(held.subscription_id, by=admin)
    answer(web, asked, rival.mpn_id)

    history = "?what=questions"
    what = "for Office 365 E3"
    assert lines(web, reverse("portal:customer_history") + history) == [
        f"Change request {what} answered: Halden Konsult AB is doing the work",
        f"The answer to the change request {what} was undone",
        f"Change request {what} answered: neither partner is doing the work",
        f"The change request {what} was forwarded to Per Lund",
        "Halden Konsult AB wrote a statement about Office 365 E3 for the customer",
        f"Halden Konsult AB was proposed {what}, and a change request was opened",
    ]
    told = lines(of(partner), reverse("portal:partner_history") + history)
    assert told == [
        f"Change request {what} answered: Halden Konsult AB is doing the work",
        f"The answer to the change request {what} was undone",
        f"Change request {what} answered: neither partner is doing the work",
        f"Halden Konsult AB was proposed {what}, and a change request was opened",
    ]
    assert "Halden Konsult AB wrote a statement about Office 365 E3 for the customer" in lines(
        of(rival), reverse("portal:partner_history")
    )
    event = Event.objects.filter(verb="change_request.answered").latest("pk")
    detail = signed_in(make_staff()).get(reverse("portal:event", args=[event.pk])).text
    assert WHO in detail
    assert "We did the rollout." in detail


def test_periods_show_who_answered_as_the_one_who_began_and_ended_them(web, held, partner, rival, asked):
    answer(web, asked, rival.mpn_id, statement="They do it.")

    periods = web.get(page(held)).context["periods"]

    assert [(one.association.partner, one.began_by, one.ended_by) for one in periods] == [
        (rival, "Elin Sandberg", ""),
        (partner, "Elin Sandberg", "Elin Sandberg"),
    ]
    (own,) = (
        of(partner)
        .get(reverse("associations:partner_subscription_detail", args=[held.subscription_id]))
        .context["periods"]
    )
    assert own.ended_by == "Elin Sandberg"


# --- What it costs --------------------------------------------------------------------------------------------------


def test_number_of_queries_does_not_grow_with_the_change_requests_on_a_page(
    web, customer, admin, held, partner, rival, asked
):
    nils = of(partner)
    pages = [
        (web, "portal:customer_home", ""),
        (web, "associations:subscription_list", ""),
        (web, "associations:change_request_list", ""),
        (web, "associations:change_request_list", "?view=closed"),
        (nils, "portal:partner_home", ""),
        (nils, "associations:partner_subscription_list", ""),
        (nils, "associations:partner_change_request_list", ""),
        (nils, "associations:partner_change_request_list", "?view=closed"),
    ]

    def ask_about_another() -> ChangeRequest:
        another = make_subscription(customer)
        attaching.attach(another.subscription_id, partner.mpn_id, by=admin)
        return propose(another, rival, admin)

    change_requests.answer(ask_about_another().pk, None, by=admin)

    def costs() -> list[int]:
        return [queries(lambda web=web, at=at, query=query: web.get(reverse(at) + query)) for web, at, query in pages]

    before = costs()
    for _more in range(2):
        ask_about_another()
        change_requests.answer(ask_about_another().pk, rival.mpn_id, by=admin)

    assert costs() == before


def test_number_of_queries_does_not_grow_with_the_parties_of_a_change_request(web, held, partner, admin, asked):
    nils = of(partner)
    load = [lambda: web.get(customer_page(asked)), lambda: nils.get(partner_page(asked))]
    before = [queries(one) for one in load]
    for number in range(3):
        newcomer = make_partner(f"Partner {number} AB")
        propose(held, newcomer, admin)
        change_requests.submit_statement(asked.pk, "We do it.", by=make_member(newcomer.organisation))

    assert [queries(one) for one in load] == before
