"""Enrolments: what files say of the programmes of a location, and who sees it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.utils import timezone

from por.accounts.models import Organisation
from por.directory.access import enrolments_visible_to
from por.directory.models import Enrolment, Partner
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.actions.delivering import deliver
from tests import estates
from tests.estates import GLOBAL, PARTNER, RIVAL, UNKNOWN
from tests.factories import make_customer, make_member, make_staff
from tests.pages import queries, signed_in

OSU = "incentive.osu_m365"
SELL = "incentive.osa_sell"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import a global account with a location, and another location."""
    partners = [
        estates.partner(GLOBAL, kind="global"),
        estates.partner(parent_mpn_id=GLOBAL, contact_email="amira@nordvik.example", language="en"),
        estates.partner(RIVAL),
    ]
    assert estates.load(estates.write(tmp_path, partners=partners)).failure == ""
    return tmp_path


def stored() -> list[tuple[str, ...]]:
    """Return MPN ID, programme and the three days of each enrolment; an unknown day is ""."""
    found = Enrolment.objects.order_by("partner__mpn_id", "program")
    rows = found.values_list("partner__mpn_id", "program", "agreement_signed_on", "bank_ok_on", "tax_ok_on")
    return [tuple(str(one or "") for one in row) for row in rows]


def told() -> list[tuple[str, str]]:
    return list(Event.objects.filter(verb__startswith="organisation.").order_by("pk").values_list("verb", "object_id"))


def test_file_gives_enrolments_and_the_same_file_changes_nothing(estate):
    rows = [estates.enrolment(), estates.enrolment(program=SELL, bank_ok_on=""), estates.enrolment(RIVAL)]
    assert "3 created, 0 changed, 0 unchanged, 0 failed" in estates.load_one(estate, "enrolments", *rows).out
    assert stored() == [
        (PARTNER, SELL, "2024-07-01", "", ""),
        (PARTNER, OSU, "2024-07-01", "2024-07-15", ""),
        (RIVAL, OSU, "2024-07-01", "2024-07-15", ""),
    ]
    loaded = Event.objects.filter(verb="estate.loaded", object_id="enrolments.csv")
    assert sorted(event.changes["created"] for event in loaded) == [1, 2]
    assert "Nothing has changed" in estates.load_one(estate, "enrolments", *rows).out
    assert told() == []


def test_another_day_is_an_event_and_the_partner_is_told(estate):
    estates.load_one(estate, "enrolments", estates.enrolment())
    estates.load_one(estate, "enrolments", estates.enrolment(bank_ok_on="", tax_ok_on="2024-08-01"))

    assert stored() == [(PARTNER, OSU, "2024-07-01", "", "2024-08-01")]
    event = Event.objects.get(verb="organisation.enrolment_changed")
    assert (event.object_kind, event.object_id, event.parties) == ("partner", PARTNER, [])
    assert event.changes == {
        "name": f"Nordvik {PARTNER}",
        "program": OSU,
        "days": {"bank_ok_on": ["2024-07-15", None], "tax_ok_on": [None, "2024-08-01"]},
    }
    while relay():
        pass
    mail.outbox.clear()
    deliver()
    assert [(one.to, one.subject) for one in mail.outbox] == [
        (["amira@nordvik.example"], f"Imported files changed the enrolment of Nordvik {PARTNER} in {OSU}")
    ]
    assert "Bank details complete: 2024-07-15 → –" in str(mail.outbox[0].body)


def test_column_that_is_missing_keeps_what_is_stored(estate):
    estates.load_one(estate, "enrolments", estates.enrolment())
    row = estates.enrolment(tax_ok_on="2024-08-01")
    del row["bank_ok_on"]
    estates.load_one(estate, "enrolments", row)
    assert stored() == [(PARTNER, OSU, "2024-07-01", "2024-07-15", "2024-08-01")]


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"mpn_id": "4999999"}, "mpn_id", "unknown_partner"),
        ({"mpn_id": GLOBAL}, "mpn_id", "partner_is_global"),
        ({"mpn_id": UNKNOWN}, "mpn_id", "mpn_id_malformed"),
        ({"program": "osu_m365"}, "program", "program_malformed"),
        ({"program": ""}, "program", "missing_value"),
        ({"program": "incentive.Osu M365"}, "program", "program_malformed"),
        ({"tax_ok_on": "soon"}, "tax_ok_on", "malformed_date"),
        ({"tax_ok_on": f"{timezone.now().date() + timedelta(days=2)}"}, "tax_ok_on", "day_in_future"),
    ],
)
def test_row_that_cannot_be_is_refused_alone(estate, cells, column, code):
    loaded = estates.load_one(estate, "enrolments", estates.enrolment(**cells), estates.enrolment(RIVAL))
    assert loaded.codes == [("2", column, code)]
    assert [mpn_id for mpn_id, *_rest in stored()] == [RIVAL]


def test_location_is_enrolled_in_a_programme_once(estate):
    partner = Partner.objects.get(mpn_id=PARTNER)
    Enrolment.objects.create(partner=partner, program=OSU)
    with pytest.raises(IntegrityError, match="one_enrolment_per_location_and_programme"), transaction.atomic():
        Enrolment.objects.create(partner=partner, program=OSU, bank_ok_on=date(2026, 1, 1))


def test_staff_and_the_partner_itself_see_enrolments_and_nobody_else(estate):
    estates.load_one(estate, "enrolments", estates.enrolment(), estates.enrolment(RIVAL, program=SELL))
    location, rival, company = (make_member(Organisation.objects.get(number=one)) for one in (PARTNER, RIVAL, GLOBAL))

    def programs(actor):
        return sorted(enrolments_visible_to(actor).values_list("program", flat=True))

    assert programs(make_staff("auditor")) == [SELL, OSU]
    assert programs(location) == programs(company) == [OSU]
    assert programs(rival) == [SELL]
    assert programs(make_member(make_customer().organisation)) == []

    page = signed_in(company).get("/p/locations/").text
    assert OSU in page
    assert '<time datetime="2024-07-15">' in page
    assert "Tax details complete" in page
    assert SELL not in page
    for number, shown, hidden in ((PARTNER, OSU, SELL), (RIVAL, SELL, OSU)):
        text = signed_in(make_staff("auditor")).get(f"/a/partners/{number}/").text
        assert shown in text
        assert hidden not in text


def test_list_of_locations_reads_all_enrolments_in_one_query(estate):
    company = make_member(Organisation.objects.get(number=GLOBAL))
    before = queries(lambda: signed_in(company).get("/p/locations/"))
    estates.load_one(estate, "enrolments", estates.enrolment(), estates.enrolment(program=SELL))
    assert queries(lambda: signed_in(company).get("/p/locations/")) == before
