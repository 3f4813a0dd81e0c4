"""The pages and the API of overrides: the card on a competency, the list of the staff, and what a company reads."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse

from associations.claims.actions import interests
from competencies.models import Override
from competencies.overrides import actions as overrides
from tests.api import Api
from tests.competencies.overrides.test_actions import DAY, SMCS, ask, asker, give, second  # noqa: F401  # fixtures
from tests.factories import make_partner, make_staff
from tests.pages import signed_in

API = "/api/v1/competencies/overrides/"
AS_OF = {"as_of": DAY.isoformat()}


def page(partner: Any) -> str:
    return reverse("competencies:staff_competency", args=[partner.mpn_id, SMCS])


def post(reader: Any, partner: Any, verb: str, **fields: Any) -> Any:
    return signed_in(reader, language="en").post(f"{page(partner)}override/{verb}/?as_of={DAY}", fields)


def text(reader: Any, url: str, **query: str) -> str:
    return signed_in(reader, language="en").get(url, query).content.decode()


def words(page: str) -> str:
    """Return what a page says, without its tags."""
    return re.sub(r"<[^>]+>", "", page)


def test_two_of_the_staff_give_it_and_one_ends_it_on_the_page(partner, asker, second):  # noqa: F811
    sent = post(asker, partner, "ask", level="silver", begins_on=DAY, reason="Late files.")
    assert (sent.status_code, sent.headers["Location"]) == (302, f"{page(partner)}?as_of={DAY}")
    own = text(asker, page(partner), **AS_OF)
    assert "You asked for this override." in own
    assert "Confirm override" not in own

    key = Override.objects.get().pk
    assert "Confirm override" in text(second, page(partner), **AS_OF)
    refused = post(asker, partner, "decide", override=key, decision="confirm")
    assert refused.status_code == 409
    assert "Another person of platform staff must confirm or decline it." in refused.content.decode()
    for _click in range(2):
        assert post(second, partner, "decide", override=key, decision="confirm").status_code == 302
    assert "Override by platform staff until 5 Jun 2018" in words(text(second, page(partner), **AS_OF))

    empty = post(second, partner, "end", override=key, ended_on=DAY)
    assert empty.status_code == 422
    assert "Enter a reason." in empty.content.decode()
    assert post(second, partner, "end", override=key, ended_on=DAY, reason="Over.").status_code == 302
    assert Override.objects.get().status == "ended"
    assert "Override by platform staff until" not in words(text(second, page(partner), **AS_OF))


def test_who_asked_withdraws_the_request_on_the_page(partner, asker, second):  # noqa: F811
    key = ask(partner, asker).pk
    assert "Withdraw request" in text(asker, page(partner), **AS_OF)
    assert "Withdraw request" not in text(second, page(partner), **AS_OF)
    refused = post(second, partner, "withdraw", override=key)
    assert refused.status_code == 409
    assert "Only they can withdraw it, but you can decline it." in refused.content.decode()
    assert "Confirm override" in refused.content.decode()

    long = post(asker, partner, "withdraw", override=key, note="x" * 501)
    assert long.status_code == 422
    assert "x" * 501 in long.content.decode()
    for _click in range(2):
        sent = post(asker, partner, "withdraw", override=key, note="Their files are there.")
        assert (sent.status_code, sent.headers["Location"]) == (302, f"{page(partner)}?as_of={DAY}")
    shown = words(text(second, page(partner), **AS_OF))
    assert f"Withdrawn by {asker.name}" in " ".join(shown.split())
    assert "Their files are there." in shown
    assert "Confirm override" not in shown


def test_reviewer_with_an_interest_has_no_buttons_and_is_refused(partner, asker):  # noqa: F811
    reviewer = make_staff()
    given, asked = give(partner, asker, reviewer), ask(partner, asker)
    assert "Confirm override" in text(reviewer, page(partner), **AS_OF)
    interests.mark(partner.mpn_id, by=reviewer)

    shown = text(reviewer, page(partner), **AS_OF)
    assert f"Your interest in {partner.organisation.name} is marked." in shown
    assert [one for one in ("Confirm override", "Decline override", "End override") if one in shown] == []
    for verb, fields in (
        ("decide", {"override": asked.pk, "decision": "confirm"}),
        ("decide", {"override": asked.pk, "decision": "decline"}),
        ("end", {"override": given.pk, "ended_on": DAY, "reason": "Over."}),
    ):
        refused = post(reviewer, partner, verb, **fields)
        assert refused.status_code == 409
        assert "You have an interest in one of the parties." in refused.content.decode()
    assert {one.status for one in Override.objects.all()} == {"given", "asked"}


def test_form_that_was_refused_is_not_shown_for_another_request(partner, asker, second):  # noqa: F811
    """The first request was declined meanwhile, and another one is open: its form must not send the first one's key."""
    first = ask(partner, asker)
    overrides.decline(first.pk, by=second)
    other = ask(partner, asker)
    refused = post(second, partner, "decide", override=first.pk, decision="confirm", note="Seen.").content.decode()
    assert "This override has been declined." in refused
    assert f'name="override" value="{other.pk}"' in refused
    assert f'name="override" value="{first.pk}"' not in refused


def test_wrong_input_is_named_on_the_page_and_kept(partner, asker):  # noqa: F811
    sent = post(asker, partner, "ask", level="platinum", begins_on="soon", reason="Late files.")
    shown = sent.content.decode()
    assert sent.status_code == 422
    assert "Enter a date as year-month-day" in shown
    assert "Late files." in shown
    late = post(asker, partner, "ask", level="silver", begins_on="2023-01-01", reason="Late files.")
    assert "Choose a first day between them." in late.content.decode()
    assert not Override.objects.exists()


def test_override_of_another_page_is_absent(partner, asker, second):  # noqa: F811
    asked = ask(make_partner(), asker)
    assert post(second, partner, "decide", override=asked.pk, decision="confirm").status_code == 404
    assert post(second, partner, "decide", override="x", decision="confirm").status_code == 422
    assert Override.objects.get().status == "asked"


def test_list_shows_what_waits_for_a_second_person(partner, asker, second):  # noqa: F811
    url = reverse("competencies:override_list")
    given = give(make_partner("Halden IT"), asker, second)
    ask(partner, asker)
    waiting = text(second, url)
    assert partner.organisation.name in waiting
    assert f"{page(partner)}?as_of={DAY}#override" in waiting
    assert "Halden IT" not in waiting
    assert given.company.name in text(second, url, view="all")


def test_company_reads_until_when_it_holds_and_sees_no_card(partner, asker, second, amira):  # noqa: F811
    give(partner, asker, second)
    own = reverse("competencies:partner_competency", args=[SMCS])
    shown = text(amira, own, **AS_OF)
    assert "Override by platform staff until 5 Jun 2018" in words(shown)
    assert 'id="override"' not in shown
    api = Api(amira)
    answer = api.get(f"/api/v1/competencies/{SMCS}/", AS_OF).json()
    assert (answer["override_until"], answer["state"]) == ("2018-06-05", None)
    assert api.get(f"/api/v1/competencies/{SMCS}/", {"as_of": "2018-06-06"}).json()["override_until"] is None
    assert api.get(API).json()["results"] == []


def test_page_is_also_in_swedish_and_without_the_right_has_no_form(partner, asker, second):  # noqa: F811
    give(partner, asker, second)
    shown = signed_in(second, language="sv").get(page(partner), AS_OF).content.decode()
    assert "Undantag från plattformens personal till den 5 juni 2018" in words(shown)
    auditor = text(make_staff("auditor"), page(partner), **AS_OF)
    assert "Given" in auditor
    assert "/override/" not in auditor


def test_score_has_no_card(partner, asker):  # noqa: F811
    shown = text(asker, reverse("competencies:staff_competency", args=[partner.mpn_id, "pcs.modern_work"]))
    assert 'id="override"' not in shown


def test_competency_whose_rules_are_over_is_shown_on_their_last_day(partner, asker, amira):  # noqa: F811
    answer = signed_in(asker).get(page(partner))
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{page(partner)}?as_of=2022-10-02")
    own = reverse("competencies:partner_competency", args=[SMCS])
    assert signed_in(amira).get(own).headers["Location"] == f"{own}?as_of=2022-10-02"
    gone = reverse("competencies:partner_competency", args=["competency.nothing"])
    assert signed_in(amira).get(gone).status_code == 404


def test_api_asks_confirms_and_ends(partner, asker, second):  # noqa: F811
    body = {"mpn_id": partner.mpn_id, "program": SMCS, "level": "silver", "reason": "Late files."}
    refused = Api(asker).post(API, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "no_rules_on_day")
    asked = Api(asker).post(API, body | {"begins_on": DAY.isoformat()})
    assert (asked.status_code, asked.json()["status"], asked.json()["until"]) == (201, "asked", None)
    path = f"{API}{asked.json()['id']}/"

    own = Api(asker).post(f"{path}confirm/", {})
    assert (own.status_code, own.json()["code"]) == (409, "own_request")
    other = Api(second).post(f"{path}withdraw/", {})
    assert (other.status_code, other.json()["code"]) == (409, "not_own_request")
    assert Api(second).post(f"{path}confirm/", {"note": "Seen."}).json()["until"] == "2018-06-05"
    ended = Api(asker).post(f"{path}end/", {"reason": "Over.", "ended_on": "2018-04-01"}).json()
    assert (ended["status"], ended["ended_on"], ended["version"]) == ("ended", "2018-04-01", 3)
    assert [one["id"] for one in Api(second).get(API, {"status": "ended"}).json()["results"]] == [ended["id"]]
    assert Api(second).get(API, {"mpn_id": make_partner().mpn_id}).json()["results"] == []


def test_api_withdraws_a_request(partner, asker, second):  # noqa: F811
    path = f"{API}{ask(partner, asker).pk}/"
    withdrawn = Api(asker).post(f"{path}withdraw/", {"note": "Not needed."}).json()
    assert (withdrawn["status"], withdrawn["withdrawal_note"], withdrawn["version"]) == ("withdrawn", "Not needed.", 2)
    assert withdrawn["withdrawn_at"]
    assert [one["id"] for one in Api(second).get(API, {"status": "withdrawn"}).json()["results"]] == [withdrawn["id"]]


def test_api_refuses_a_reviewer_with_an_interest(partner, asker, second):  # noqa: F811
    given, asked, reviewer = give(partner, asker, second), ask(partner, asker), make_staff()
    interests.mark(partner.mpn_id, by=reviewer)
    for path, body in (
        (f"{asked.pk}/confirm/", {}),
        (f"{asked.pk}/decline/", {}),
        (f"{given.pk}/end/", {"reason": "Over.", "ended_on": DAY.isoformat()}),
    ):
        refused = Api(reviewer).post(f"{API}{path}", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "interest")
    assert Api(second).post(f"{API}{asked.pk}/confirm/", {}).status_code == 200, "control: without an interest"


def test_api_names_an_mpn_id_that_cannot_be(asker):  # noqa: F811
    body = {"mpn_id": "ABC", "program": SMCS, "level": "silver", "reason": "Late files."}
    answer = Api(asker).post(API, body)
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [("mpn_id", "mpn_id_malformed")]
    assert Api(asker).post(API, body | {"mpn_id": "4471999"}).status_code == 404


@pytest.mark.parametrize("length", [500, 501])
def test_reason_is_bounded(partner, asker, length):  # noqa: F811
    sent = post(asker, partner, "ask", level="silver", begins_on=DAY, reason="x" * length)
    assert (sent.status_code, Override.objects.count()) == ((302, 1) if length == 500 else (422, 0))
