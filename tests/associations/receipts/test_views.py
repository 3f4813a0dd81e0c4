"""A receipt shows anyone with its link whether a partner is partner of record, and nothing else."""

from __future__ import annotations

import re

import pytest
from django.core.signing import Signer
from django.test import Client

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.record import signing
from associations.record.models import Association
from tests.api import Api


@pytest.fixture
def association(subscription, partner, admin) -> Association:
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, note="They run it.").association


def page(association: Association) -> str:
    return Client().get(f"/receipts/{signing.sign(association.pk)}/").text


def shape(association: Association) -> dict[str, object]:
    return Api().get(f"receipts/{signing.sign(association.pk)}/").json()


def test_anyone_with_the_link_reads_who_is_partner_of_record_since_when(association, subscription, partner):
    text = page(association)
    for fact in ("Office 365", "Office 365 E3", str(subscription.subscription_id), partner.mpn_id, "Nordvik Cloud AB"):
        assert fact in text
    assert "This partner is the partner of record for this subscription." in text
    began_at = association.began_at.isoformat().replace("+00:00", "Z")
    assert shape(association) == {
        "subscription": {
            "id": str(subscription.subscription_id),
            "product": "office365",
            "sku": {"sku_string_id": "ENTERPRISEPACK", "name": subscription.sku.name},
        },
        "partner": {"mpn_id": partner.mpn_id, "name": "Nordvik Cloud AB"},
        "since": began_at,
        "until": None,
        "of_record": True,
        "undone_at": None,
    }


def test_receipt_has_nothing_about_people_seats_or_the_customer(association, customer):
    for secret in ("Elin", "They run it.", "420", "Västerhamn", str(customer.tenant_id)):
        assert secret not in page(association)
        assert secret not in str(shape(association))


def test_receipt_shows_the_current_state(association, subscription, admin):
    attaching.remove(subscription.subscription_id, by=admin)
    assert "was the partner of record for this subscription, but no longer is." in page(association)
    assert (shape(association)["of_record"], shape(association)["until"] is None) == (False, False)
    undo.undo(subscription.subscription_id, by=admin)
    assert shape(association)["of_record"] is True


def test_receipt_of_an_undone_attach_shows_no_partner_of_record(association, subscription, admin):
    undo.undo(subscription.subscription_id, by=admin)
    assert "as if it never happened" in page(association)
    association.refresh_from_db()
    undone_at = association.undone_at.isoformat().replace("+00:00", "Z")
    found = shape(association)
    assert [found[name] for name in ("of_record", "since", "until", "undone_at")] == [False, None, None, undone_at]
    text = " ".join(re.sub("<[^>]+>", " ", page(association)).split())
    assert "Partner of record since" not in text
    assert re.search(r"Attached .+ Undone .+ Correct as of", text)


def test_forged_link_is_not_found_and_reveals_nothing(association):
    good = signing.sign(association.pk)
    key, _colon, signature = good.partition(":")
    wrong = [
        f"{int(key) + 1}:{signature}",
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        key,
        f"{key}:",
        Signer(salt="another").sign(key),
        Signer(salt="associations.receipt").sign("nothing"),
        signing.sign(association.pk + 1),
    ]
    answers = []
    for signed in wrong:
        assert Client().get(f"/receipts/{signed}/").status_code == 404
        answer = Api().get(f"receipts/{signed}/")
        answers.append((answer.status_code, answer.json() | {"request_id": ""}))
    assert all(answer == answers[0] for answer in answers)


def test_receipt_is_not_cached_or_indexed_and_is_read_only(association, admin):
    signed_in = Client()
    signed_in.force_login(admin.user)
    for path in (f"/receipts/{signing.sign(association.pk)}/", f"/api/v1/receipts/{signing.sign(association.pk)}/"):
        for client in (Client(), signed_in):
            answer = client.get(path)
            assert (answer["Cache-Control"], answer["X-Robots-Tag"]) == ("private, no-store", "noindex")
            assert client.post(path).status_code == 405
