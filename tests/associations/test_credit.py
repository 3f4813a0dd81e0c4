"""Who is credited for what: what no file can say, such as undone, dated back and claimed associations."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection

from associations.credit import Credit, KindsSince, Only, units
from associations.record.models import Association
from associations.record.rules import AssociationKind as Kind
from associations.record.rules import Source
from por.directory.models import Partner, Subscription
from por.directory.rules import Workload
from por.programs.rules import OwnTenant, Retroactive
from tests.factories import make_customer, make_partner, make_subscription

DAY = date(2025, 6, 30)
EVER = date(2014, 1, 1)
ALL = Only()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def associate(partner: Partner, subscription: Subscription, began: str = "2025-01-01", **fields: object) -> Association:
    given = {"kind": "dpor", "source": Source.ESTATE, "attached_at": at("2026-11-01")} | fields
    is_of_tenant = given["kind"] in {"pal", "delegated_admin", "fasttrack", "cpor"}
    of = {"subscription": None if is_of_tenant else subscription}
    return Association.objects.create(
        **{"customer": subscription.customer, "partner": partner, "began_at": at(began), **of} | given
    )


def credit(*kinds: str, retroactive: Retroactive = Retroactive.WINDOW, **more: object) -> Credit:
    return Credit((KindsSince(EVER, tuple(map(Kind, kinds or ["dpor"]))),), retroactive, **more)  # type: ignore[arg-type]


def credited(policy: Credit, day: date = DAY, only: Only = ALL, **more: object) -> set[tuple[int, int]]:
    """Return the pairs of company and subscription at the end of a day."""
    part = units(policy, only, day, **more)  # type: ignore[arg-type]
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {part.sql} SELECT company, subscription_id FROM units", part.given)
        return set(cursor.fetchall())


def held(policy: Credit, on: str, day: date = DAY, **more: object) -> bool:
    """Return whether someone is credited at the end of an earlier day, by the periods."""
    part = units(policy, more.pop("only", Only()), day, periods=True, **more)  # type: ignore[arg-type]
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {part.sql} SELECT 1 FROM units WHERE {part.held_at('%(at)s')}",
            {**part.given, "at": at(on) + timedelta(days=1, microseconds=-1)},
        )
        return bool(cursor.fetchall())


def test_an_undone_association_credits_nobody(partner, subscription):
    associate(partner, subscription, undone_at=at("2026-11-02"))

    assert credited(credit()) == set()


def test_an_association_is_in_force_on_its_first_day_and_no_longer_on_its_last(partner, subscription):
    associate(partner, subscription, "2025-03-10", ended_at=at("2025-04-20"))
    days = [date(2025, 3, 9), date(2025, 3, 10), date(2025, 4, 19), date(2025, 4, 20)]

    assert [bool(credited(credit(), day)) for day in days] == [False, True, True, False]


def test_what_was_dated_back_counts_before_it_was_recorded_only_for_the_window(partner, subscription):
    associate(partner, subscription, "2025-01-10", source=Source.CUSTOMER, attached_at=at("2025-04-15T10:00"))

    assert held(credit(retroactive=Retroactive.NONE), "2025-03-31")
    assert not held(credit(retroactive=Retroactive.FROM_ATTACH), "2025-03-31")
    assert held(credit(retroactive=Retroactive.FROM_ATTACH), "2025-04-30")


def test_a_row_of_a_file_was_recorded_on_the_day_it_began(partner, subscription):
    associate(partner, subscription, "2025-01-10")

    assert held(credit(retroactive=Retroactive.FROM_ATTACH), "2025-01-31")


def test_a_start_that_a_person_moved_back_counts_from_the_start_before(partner, subscription):
    moved = {"began_at_before": at("2025-05-01"), "redated_at": at("2026-11-05")}
    associate(partner, subscription, "2025-01-10", **moved)

    assert held(credit(retroactive=Retroactive.NONE), "2025-04-30")
    assert not held(credit(retroactive=Retroactive.FROM_ATTACH), "2025-04-30")
    assert held(credit(retroactive=Retroactive.FROM_ATTACH), "2025-05-31")


def test_a_start_that_a_person_moved_forward_counts_from_the_new_one(partner, subscription):
    moved = {"began_at_before": at("2025-01-10"), "redated_at": at("2026-11-05")}
    associate(partner, subscription, "2025-05-01", **moved)

    assert not held(credit(retroactive=Retroactive.FROM_ATTACH), "2025-04-30")
    assert held(credit(retroactive=Retroactive.FROM_ATTACH), "2025-05-31")


def test_locations_of_one_company_are_one_company_and_a_period_goes_on_from_one_to_the_other(partner, subscription):
    other = make_partner("Nordvik Cloud AB, Bergen")
    head = make_partner("Nordvik Cloud AB, all", kind="global")
    for location in (partner, other):
        location.organisation.parent = head.organisation
        location.organisation.save()
    associate(partner, subscription, ended_at=at("2025-03-01"))
    associate(other, subscription, "2025-03-01")
    associate(other, subscription, kind="csp")

    assert credited(credit("dpor", "csp")) == {(head.pk, subscription.pk)}
    part = units(credit(retroactive=Retroactive.NONE), Only(), DAY, periods=True)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {part.sql} SELECT held::text FROM units", part.given)
        assert [str(row[0]).count(",") for row in cursor.fetchall()] == [1]  # one range


def test_a_csp_partner_is_a_transacting_partner_from_the_day_on_which_these_count(partner, subscription):
    associate(partner, subscription, "2016-01-01", kind="csp")
    subscription.started_on = date(2016, 1, 1)
    subscription.save()
    policy = credit("dpor", "transacting")

    assert credited(policy, date(2016, 5, 23)) == set()
    assert credited(policy, date(2016, 5, 24)) == {(partner.pk, subscription.pk)}


def test_kinds_count_by_the_day_that_is_judged(partner, subscription):
    associate(partner, subscription, kind="delegated_admin")
    policy = Credit((KindsSince(EVER, (Kind.DPOR,)), KindsSince(DAY, (Kind.DPOR, Kind.DELEGATED_ADMIN))))

    assert credited(policy, DAY - timedelta(days=1)) == set()
    assert credited(policy) == {(partner.pk, subscription.pk)}
    assert Credit((KindsSince(DAY, (Kind.DPOR,)),)).kinds_on(DAY - timedelta(days=1)) == ()
    assert credited(Credit(()), DAY) == set()


def test_a_tenants_association_is_for_each_subscription_while_it_is_there(partner, customer, subscription):
    gone = make_subscription(customer, status="expired", left_at=at("2025-06-01"), started_on=date(2025, 1, 1))
    later = make_subscription(customer, started_on=DAY + timedelta(days=1))
    associate(partner, subscription, kind="delegated_admin")
    policy = credit("delegated_admin")

    assert credited(policy, date(2025, 5, 31)) == {(partner.pk, subscription.pk), (partner.pk, gone.pk)}
    assert credited(policy) == {(partner.pk, subscription.pk)}
    assert (partner.pk, later.pk) in credited(policy, DAY + timedelta(days=1))


def test_a_company_gets_nothing_for_its_own_tenant_where_the_rule_says_so(partner, customer, subscription):
    partner.own_tenant_id = customer.tenant_id
    partner.save()
    associate(partner, subscription)

    assert credited(credit()) == {(partner.pk, subscription.pk)}
    assert credited(credit(own_tenant=OwnTenant.EXCLUDE)) == set()


def test_who_sells_goes_before_who_is_linked(partner, subscription):
    seller = make_partner("Halden Konsult AB")
    associate(partner, subscription, kind="pal")
    associate(seller, subscription, kind="csp", ended_at=at("2025-06-15"))
    policy = credit("csp", "pal", yields=((Kind.PAL, (Kind.CSP,)),))

    assert credited(policy, date(2025, 6, 14)) == {(seller.pk, subscription.pk)}
    assert credited(policy, date(2025, 6, 15)) == {(partner.pk, subscription.pk)}
    assert credited(policy, date(2025, 6, 14), companies=[partner.pk]) == set()
    assert credited(policy, date(2025, 6, 15), companies=[partner.pk]) == {(partner.pk, subscription.pk)}


def test_one_association_of_a_subscription_is_left_where_the_rule_says_so(partner, subscription):
    rival = make_partner("Halden Konsult AB", mpn_id="4000001")
    associate(rival, subscription, kind="osa_form", began="2024-08-01")
    associate(partner, subscription, kind="osa_form", began="2024-08-02")
    policy = credit("dpor", "osa_form", one_per_subscription=True)
    assert credited(policy) == {(rival.pk, subscription.pk)}

    associate(partner, subscription)
    assert credited(policy) == {(partner.pk, subscription.pk)}
    assert len(credited(credit("dpor", "osa_form"))) == 2


def test_a_claim_of_a_workload_counts_from_its_approval_for_that_workload_alone(partner, subscription):
    claim = {"kind": "cpor", "program": "osu_m365", "role": "usage", "workload": "exo", "source": Source.CLAIM}
    associate(partner, subscription, **claim)
    policy, only = credit("cpor", retroactive=Retroactive.FROM_ATTACH), Only(workload=(Workload.EXO, Workload.TEAMS))
    part = units(policy, only, DAY)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {part.sql} SELECT company, workload FROM units", part.given)
        assert cursor.fetchall() == [(partner.pk, "exo")]
    assert held(policy, "2025-01-31", only=only)

    with pytest.raises(ValueError, match="names its workloads"):
        units(policy, Only(), DAY)


def test_some_companies_are_credited_as_all_are(partner, subscription):
    others = [make_partner(f"Partner {number}") for number in range(3)]
    for one in others:
        associate(one, make_subscription(make_customer()))
    associate(partner, subscription)
    everyone = credited(credit())

    for one in (partner, *others):
        assert credited(credit(), companies=[one.pk]) == {pair for pair in everyone if pair[0] == one.pk}
    assert credited(credit(), companies=[]) == set()
