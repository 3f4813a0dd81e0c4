"""Conflicts over the API: what each reader gets of them."""

from __future__ import annotations

import pytest

from associations.claims.actions import deciding
from associations.claims.models import Conflict
from por.accounts.models import Actor
from por.directory.models import Customer
from tests.api import Api
from tests.claims import make_approved, make_submitted
from tests.factories import make_customer, make_member, make_partner, make_staff


@pytest.fixture
def readers(customer: Customer, admin: Actor) -> dict[str, Actor]:
    """Return a conflict's readers and others; the customer has answered, and a reviewer has decided for the rival."""
    claimant, rival = (make_member(make_partner(name).organisation) for name in ("Nordvik Cloud AB", "Rival AB"))
    reviewer = make_staff()
    held, claim = make_approved(customer, claimant), make_submitted(customer, rival)
    pk = Conflict.objects.get().pk
    deciding.answer(pk, claim.partner.mpn_id, by=admin, text="They moved us.")
    missing = {held.pk: ["dates"], claim.pk: ["no_products"]}
    deciding.decide(pk, claim.pk, note="It is newer.", checklists=missing, by=reviewer)
    return {
        "claimant": claimant,
        "claimant_viewer": make_member(claimant.organisation, "viewer"),  # type: ignore[arg-type]
        "rival": rival,
        "customer": admin,
        "reviewer": reviewer,
        "auditor": make_staff("auditor"),
        "other_partner": make_member(make_partner().organisation),
        "other_customer": make_member(make_customer("Other").organisation),
    }


#: For each reader: of which sides it gets the claim and its status, and what was missing; and whether it gets the words
#: of the customer.
SEEN = {
    "claimant": ([True, False], [["dates"], None], False),
    "claimant_viewer": ([True, False], [None, None], False),
    "rival": ([False, True], [None, ["no_products"]], False),
    "customer": ([True, True], [None, None], True),
    "reviewer": ([True, True], [["dates"], ["no_products"]], True),
    "auditor": ([True, True], [["dates"], ["no_products"]], True),
}


def test_each_reader_gets_its_part_of_a_conflict(readers):
    for name, actor in readers.items():
        (listed, *_none) = Api(actor).get("conflicts/").json()["results"] or [None]
        pk = Conflict.objects.get().pk
        one = Api(actor).get(f"conflicts/{pk}/")
        if name not in SEEN:
            assert (listed, one.status_code) == (None, 404), name
            continue
        claims, missing, reads_text = SEEN[name]
        shape = one.json()
        assert shape == listed
        assert one["ETag"] == f'"{shape["version"]}"'
        assert [side["claim"] is not None for side in shape["sides"]] == claims, name
        assert [side["status"] is not None for side in shape["sides"]] == claims, name
        assert [side["missing"] for side in shape["sides"]] == missing, name
        assert [side["partner"]["name"] for side in shape["sides"]] == ["Nordvik Cloud AB", "Rival AB"]
        assert all(side["newest_proof_at"] for side in shape["sides"]), "who and when, every reader may know"
        assert shape["answer"]["text"] == ("They moved us." if reads_text else None), name
        assert shape["decision"]["note"] == "It is newer."
        assert "statement-of-work" not in one.content.decode()


def test_conflicts_are_filtered_and_listed_as_csv(readers):
    api = Api(readers["reviewer"])
    for query, count in (("status=open", 0), ("status=decided&program=osu_m365&workload=exo", 1), ("workload=spo", 0)):
        assert len(api.get(f"conflicts/?{query}").json()["results"]) == count, query
    header, row = api.get("conflicts/?format=csv").getvalue().decode().splitlines()
    assert header.startswith("id,status,customer_tenant_id")
    assert ",decided," in row
