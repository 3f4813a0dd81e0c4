"""The time zones of organisations and people."""

from __future__ import annotations

import zoneinfo
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from por.accounts import actions, zones
from por.accounts.models import Actor, Organisation, User
from por.errors import Forbidden, Refused
from por.history.models import Event
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_user
from tests.pages import signed_in


def in_zone(actor: Actor, zone: str) -> Actor:
    """Return the actor, whose organisation is in this zone now."""
    assert actor.organisation is not None
    actor.organisation.time_zone = zone
    actor.organisation.save()
    return actor


# --- Which zone -----------------------------------------------------------------------------------------------------


def test_person_has_the_time_zone_of_the_organisation_they_act_for(admin):
    in_zone(admin, "Pacific/Auckland")
    partner = make_partner()
    Organisation.objects.filter(pk=partner.pk).update(time_zone="America/New_York")
    admin.user.memberships.create(organisation=partner.organisation, role="viewer")
    api = Api()
    api.client.force_login(admin.user)

    before = api.get("me/").json()["time_zone"]
    api.client.post("/switch", {"organisation": partner.pk})

    assert (before, api.get("me/").json()["time_zone"]) == ("Pacific/Auckland", "America/New_York")
    assert Api(admin).get("me/").json()["time_zone"] == "Pacific/Auckland"


def test_own_time_zone_of_a_person_is_before_that_of_the_organisation(customer):
    admin = in_zone(make_member(customer.organisation, time_zone="Asia/Tokyo"), "Pacific/Auckland")

    assert Api(admin).get("me/").json()["time_zone"] == "Asia/Tokyo"


def test_person_may_return_to_the_time_zone_of_the_organisation(customer):
    admin = in_zone(make_member(customer.organisation, time_zone="Asia/Tokyo"), "Pacific/Auckland")
    web = signed_in(admin)
    given = {"name": "Elin", "language": "en", "theme": "", "shortcuts": "on"}

    assert "Same as my organisation (Pacific/Auckland)" in web.get("/me").text
    web.post("/me", given | {"time_zone": ""})
    followed = Api(admin).get("me/").json()["time_zone"]
    web.post("/me", given | {"time_zone": "Europe/Stockholm"})

    assert followed == "Pacific/Auckland"
    assert Api(admin).get("me/").json()["time_zone"] == "Europe/Stockholm"


def test_zone_of_a_token_ends_with_its_request(admin):
    api = Api(in_zone(admin, "Pacific/Auckland"))
    api.get("me/")

    assert timezone.get_current_timezone_name() == "UTC"


# --- The zone of a country ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        *[("SE", "Europe/Stockholm"), ("US", "America/New_York"), ("NZ", "Pacific/Auckland"), ("GB", "Europe/London")],
        *[("AU", "Australia/Sydney"), ("CA", "America/Toronto"), ("", zones.DEFAULT), ("XX", zones.DEFAULT)],
    ],
)
def test_country_has_the_zone_of_most_of_its_people(country, zone):
    assert zones.of_country(country) == zone


def test_zone_of_every_country_is_known_to_the_server_and_to_the_page():
    every = set(zones.by_country().values())

    assert all(zoneinfo.ZoneInfo(zone) for zone in every)
    assert every <= set(dict(zones.names()))


def test_migration_gives_customers_and_partners_the_zone_of_their_country():
    swedish, partner = make_customer(), make_partner()
    auckland = make_customer("Kea Ltd")
    type(auckland).objects.filter(pk=auckland.pk).update(country="NZ")
    type(partner).objects.filter(pk=partner.pk).update(country="US")

    import_module("por.directory.migrations.0011_time_zones").fill(apps, connection.schema_editor())

    assert {one.name: one.time_zone for one in Organisation.objects.exclude(kind="staff")} == {
        "Kea Ltd": "Pacific/Auckland",
        partner.organisation.name: "America/New_York",
        swedish.organisation.name: "Europe/Stockholm",
    }


def test_migration_keeps_the_zones_that_people_chose():
    there, other = make_user(), make_user("Amira", time_zone="Asia/Tokyo")
    User.objects.update(own_time_zone=False)

    with connection.cursor() as cursor:
        cursor.execute(import_module("por.accounts.migrations.0008_own_time_zones").OWN)

    assert dict(User.objects.values_list("pk", "own_time_zone")) == {there.pk: False, other.pk: True}


# --- Settings of an organisation ------------------------------------------------------------------------------------


def test_administrator_changes_the_time_zone_of_the_organisation(admin):
    web = signed_in(admin)
    assert "Organisation settings" in web.get("/me").text

    web.post("/me/organisation/", {"time_zone": "America/New_York"})
    web.post("/me/organisation/", {"time_zone": "America/New_York"})

    assert Organisation.objects.get(pk=admin.organisation_id).time_zone == "America/New_York"
    (event,) = Event.objects.filter(verb="organisation.time_zone_changed")
    assert (event.chain, event.actor_id) == (f"organisation:{admin.organisation_id}", admin.user_id)
    assert event.changes == {"time_zone": "America/New_York", "time_zone_before": "Europe/Stockholm"}
    assert "changed from Europe/Stockholm to America/New_York" in web.get("/c/history/").text


def test_viewer_does_not_change_the_time_zone_of_the_organisation(customer):
    viewer = make_member(customer.organisation, "viewer")

    assert "Organisation settings" not in signed_in(viewer).get("/me").text
    with pytest.raises(Forbidden):
        actions.change_time_zone("Asia/Tokyo", by=viewer)


def test_unknown_time_zone_is_refused(admin):
    with pytest.raises(Refused) as caught:
        actions.change_time_zone("Mars/Olympus", by=admin)

    assert (caught.value.code, caught.value.field) == ("time_zone_unknown", "time_zone")
    assert signed_in(admin).post("/me/organisation/", {"time_zone": "Mars/Olympus"}).status_code == 422
