"""Check ID: what is found, what is refused, and that every try is recorded and counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from por.accounts.models import Actor
from por.directory import actions
from por.directory.models import CheckOfId
from por.errors import Forbidden, NotFound, RateLimited, Refused
from tests.factories import make_customer, make_member, make_partner


def outcomes() -> list[str]:
    return list(CheckOfId.objects.order_by("pk").values_list("outcome", flat=True))


def earlier(minutes: int, count: int, admin: Actor) -> None:
    at = timezone.now() - timedelta(minutes=minutes)
    CheckOfId.objects.bulk_create(
        CheckOfId(organisation=admin.organisation, entered="9", outcome="partner_not_found", at=at)
        for _ in range(count)
    )


def test_partner_with_exactly_this_id_is_found_and_the_check_recorded(admin):
    partner = make_partner(mpn_id="4471902")

    assert actions.check(" 447 1902 ", by=admin) == partner

    check = CheckOfId.objects.get()
    assert (check.entered, check.outcome, check.user_id) == (" 447 1902 ", "found", admin.user_id)


@pytest.mark.parametrize(
    ("fields", "code", "kind"),
    [
        ({"kind": "global"}, "partner_is_global", Refused),
        ({"status": "suspended"}, "partner_suspended", Refused),
        ({"status": "closed"}, "partner_not_found", NotFound),
    ],
)
def test_check_of_a_partner_that_cannot_be_attached_shows_why(admin, fields, code, kind):
    partner = make_partner(**fields)

    with pytest.raises(kind) as caught:
        actions.check(partner.mpn_id, by=admin)

    assert caught.value.code == code
    assert outcomes() == [code]


def test_closed_partner_and_unknown_id_get_the_same_refusal(admin):
    closed = make_partner(status="closed")
    with pytest.raises(NotFound) as of_closed:
        actions.check(closed.mpn_id, by=admin)

    with pytest.raises(NotFound) as of_none:
        actions.check("9999999", by=admin)

    assert of_closed.value.args == of_none.value.args


def test_malformed_id_is_refused_on_its_field(admin):
    with pytest.raises(Refused) as caught:
        actions.check("x" * 500, by=admin)

    assert (caught.value.code, caught.value.field) == ("mpn_id_malformed", "mpn_id")
    assert outcomes() == ["mpn_id_malformed"]


def test_twenty_first_check_in_a_minute_must_wait(admin, partner):
    earlier(0, 19, admin)
    assert actions.check(partner.mpn_id, by=admin)

    with pytest.raises(RateLimited) as caught:
        actions.check(partner.mpn_id, by=admin)

    assert 0 < caught.value.retry_after <= 61
    assert outcomes()[-1] == "too_many_checks"


def test_limits_of_a_minute_and_a_day_end_with_time(admin, partner):
    earlier(2, 199, admin)
    assert actions.check(partner.mpn_id, by=admin)
    with pytest.raises(RateLimited) as caught:
        actions.check(partner.mpn_id, by=admin)
    assert caught.value.retry_after > 3600

    CheckOfId.objects.update(at=timezone.now() - timedelta(hours=25))

    assert actions.check(partner.mpn_id, by=admin)


def test_checks_of_one_organisation_do_not_limit_another(admin, partner):
    earlier(0, 20, admin)

    assert actions.check(partner.mpn_id, by=make_member(make_customer("Almviks kommun").organisation))


def test_viewer_may_not_check(customer, partner):
    with pytest.raises(Forbidden):
        actions.check(partner.mpn_id, by=make_member(customer.organisation, "viewer"))

    assert outcomes() == []


@pytest.mark.django_db(transaction=True)
def test_thirty_concurrent_checks_get_twenty_answers_and_ten_refusals(admin, partner):
    def check(_: int) -> str:
        try:
            actions.check(partner.mpn_id, by=admin)
        except RateLimited:
            return "waits"
        finally:
            connection.close()
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(check, range(30)))

    assert (results.count("answered"), results.count("waits")) == (20, 10)
