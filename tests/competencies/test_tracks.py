"""The tracks of a score: what the company has in each, and which one counts."""

from __future__ import annotations

import pytest
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from competencies.queries import attained_in
from competencies.tracks import tracks_of
from por.directory.models import Customer
from tests.api import Api
from tests.competencies.test_recomputing import AZURE, make_azure, today
from tests.factories import make_member, make_partner
from tests.pages import signed_in

WORK = "pcs.modern_work"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("segment", "track"), [("smb", "smb"), ("enterprise", "enterprise")])
def test_track_that_counts_has_the_total_of_the_result(segment: str, track: str) -> None:
    partner = make_partner()
    subscription, admin = make_azure()
    Customer.objects.filter(pk=subscription.customer_id).update(segment=segment)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    result = attained_in(partner.organisation, AZURE, today())
    found = tracks_of(partner.organisation, result, today())

    assert found is not None
    assert [one.track for one in found.each] == ["enterprise", "smb"]
    if result.track is not None:
        (counted,) = [one for one in found.each if one.track == result.track]
        assert (counted.total, counted.metrics) == (result.total, result.metrics)
    text = (
        signed_in(make_member(partner.organisation))
        .get(reverse("competencies:partner_competency", args=[AZURE]))
        .content.decode()
    )
    assert "Tracks compared" in text
    assert "customers decide which track counts" in text


@pytest.mark.django_db
def test_page_and_api_compare_the_tracks_of_the_better_total() -> None:
    partner = make_partner()
    actor = make_member(partner.organisation)
    text = signed_in(actor).get(reverse("competencies:partner_competency", args=[WORK])).content.decode()
    assert "The track with the best total counts" in text
    found = Api(actor).get(f"/api/v1/competencies/{WORK}/tracks/").json()
    assert [one["track"] for one in found["tracks"]] == ["enterprise", "smb"]
    adds = [next(m for m in one["metrics"] if m["metric"] == "net_customer_adds") for one in found["tracks"]]
    assert [one["most_points"] for one in adds] == [20, 20]

    answer = Api(actor).get(f"/api/v1/competencies/{WORK}/tracks/", {"format": "csv"})
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 11, "five metrics in each of two tracks"


@pytest.mark.django_db
def test_programme_without_tracks_compares_none() -> None:
    partner = make_partner()
    actor = make_member(partner.organisation)
    asked = {"as_of": "2018-06-15"}
    address = "/api/v1/competencies/competency.smcs/tracks/"
    assert Api(actor).get(address, asked).json() == {"counts": None, "detail": "", "tracks": []}
    assert Api(actor).get(f"/api/v1/competencies/{AZURE}/tracks/", {"as_of": "2024-06-15"}).json()["tracks"] == []
    page = reverse("competencies:partner_competency", args=["competency.smcs"])
    assert "Tracks compared" not in signed_in(actor).get(page, asked).content.decode()
