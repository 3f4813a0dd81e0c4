"""The prepared queries of figures, each beside its plain queryset: gaps, usage, lists of organisations."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone

from associations.gaps import queries as gaps
from associations.record import access, queries
from associations.record.access import Reader, usage_visible_to
from associations.record.models import Association
from associations.record.usage import MonthOfUsage, newest_sql
from competencies.judged import judged
from competencies.models import Attainment
from competencies.programs import computed_on
from competencies.queries import known, reached
from competencies.results import Reached
from por.accounts.models import Organisation
from por.directory import forms as directory
from por.directory.models import Partner, Subscription
from por.portal import queries as home
from por.portal.views import staff, usage
from por.web.lists import prepared_whole
from tests.prepared import FIRST, Estate, Pair
from tests.prepared_pages import Pairs, actors, parts, shapes, unordered


def pairs_of_predecessors(estate: Estate) -> Pairs:
    old, new = estate.subscriptions[:2]
    day = FIRST + timedelta(days=400)
    Subscription.objects.filter(pk=old.pk).update(renews_on=day, seats=10, product="azure", started_on=FIRST)
    alike = {"customer": old.customer_id, "product": "azure", "replaces": None}
    Subscription.objects.filter(pk=new.pk).update(started_on=day, seats=10, **alike)
    Association.objects.filter(subscription=old, kind="dpor").update(
        ended_at=None, undone_at=datetime(2025, 1, 2, tzinfo=UTC)
    )
    Association.objects.create(
        kind="dpor", partner=estate.partners[0], subscription=old, source="estate", customer=old.customer,
        began_at=datetime(2025, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    keys, near = [one.pk for one in estate.subscriptions], timedelta(days=60)
    yield Pair(
        lambda: sorted((pk, before) for pk, before in gaps._likely(near, 20).values(keys=keys) if before),
        lambda: sorted((one.pk, before) for one in _with(keys) if (before := _before(one, near))),
    )


def _with(keys: list[int]) -> Any:
    return Subscription.objects.filter(pk__in=keys)


def _before(new: Subscription, near: timedelta) -> list[int]:
    """Return the keys of the subscriptions that a new one has probably renewed, looked at one by one."""
    found = []
    for old in Subscription.objects.filter(
        customer=new.customer_id, product=new.product, started_on__lt=new.started_on
    ):
        record = Association.objects.not_undone().of_record().filter(subscription=old)
        of_record = any(
            one.ended_at is None
            or one.end_reason in gaps.EXPIRED
            or (not one.end_reason and old.renews_on and one.ended_at.astimezone(UTC).date() >= old.renews_on)
            for one in record
        )
        is_near = old.renews_on is not None and abs(old.renews_on - new.started_on) <= near
        seats = old.seats is None and new.seats is None
        if old.seats is not None and new.seats is not None:
            seats = new.seats * 80 // 100 <= old.seats <= new.seats * 120 // 100
        if of_record and is_near and seats and not Subscription.objects.filter(replaces=old).exists():
            found.append(old)
    found.sort(key=lambda one: (-one.renews_on.toordinal(), one.pk))  # type: ignore[union-attr]
    return [one.pk for one in found[: gaps.NAMED]]


def pairs_of_ended(estate: Estate) -> Pairs:
    keys, today = [one.pk for one in estate.subscriptions], timezone.localdate()
    partner = next(actors(estate, "partner"))
    held = Association.objects.not_undone().of_record().visible_to(partner).filter(subscription__in=keys)[0]
    of_it = Association.objects.of_record().filter(subscription=held.subscription_id).exclude(pk=held.pk)
    of_it.update(undone_at=timezone.now())
    Association.objects.filter(pk=held.pk).update(ended_at=timezone.now(), end_reason="subscription_expired")
    Subscription.objects.filter(pk=held.subscription_id).update(status="expired")
    for actor in actors(estate, "partner"):
        given = {"organisation": actor.organisation_id, "ids": keys}
        plain = Subscription.objects.filter(gaps._ended(actor), pk__in=keys).values_list("pk")
        yield unordered(gaps._over(Reader.of(actor), today), plain, **given)


def pairs_of_usage(estate: Estate) -> Pairs:
    """Yield what the pages about usage add up, for their own tabs, beside the same of a list that is not prepared."""
    until = timezone.now().date()
    for actor, _few, shape, _of, prepared, plain in shapes(estate):
        if shape.tabs_of not in (usage._customers_tabs, usage._partners_tabs) or any(shape.list.values):
            continue
        for since in (None, FIRST):
            both = [home.UsageOfList(actor, listed, since, until) for listed in (prepared, plain)]
            months = (date(2026, 1, 1), date(2026, 2, 1))
            for part in (
                lambda one: one.of_workloads(),
                lambda one: [one.totals()] if one.of_workloads() else [],
                lambda one, months=months: one.largest_changes(*months, 5),
            ):
                yield Pair(lambda part=part, both=both: part(both[0]), lambda part=part, both=both: part(both[1]))
        keys = list(plain.values_list("pk", flat=True))
        if not keys:
            continue
        use = usage_visible_to(actor).filter(month__lte=until)
        newest = {
            pk: MonthOfUsage(*month)
            for pk, *month in _rows_of(newest_sql(Subscription.objects.filter(pk__in=keys), use))
        }
        own = (
            set(queries.of_own_tenant(plain, actor).values_list("pk", flat=True)) if actor.kind == "partner" else set()
        )
        yield Pair(
            lambda actor=actor, plain=plain: home.newest_usage(actor, list(plain), None, until, None),
            lambda plain=plain, newest=newest, own=own: [
                home.SubscriptionUsage(one, one.pk in own, newest.get(one.pk)) for one in plain
            ],
        )


def _rows_of(asked: tuple[str, list[Any]]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(*asked)
        return cursor.fetchall()


def pairs_of_figures(estate: Estate) -> Pairs:
    partners = [one.pk for one in estate.partners] + [one.organisation.parent_id for one in estate.partners]
    yield unordered(home._LOCATIONS, _children(partners), ids=partners)
    for actor in actors(estate):
        given = {"organisation": actor.organisation_id}
        held = Association.objects.open().visible_to(actor)
        for whose in ("partner", "partner__organisation__parent"):
            of_record = Count("pk", filter=Q(kind="dpor"))
            counted = held.filter(**{f"{whose}__in": [one for one in partners if one]}).values_list(whose)
            counted = counted.annotate(customers=Count("customer", distinct=True), of_record=of_record)
            yield unordered(home._of_partners(Reader.of(actor), whose), counted, ids=partners, **given)
        customers = [one.pk for one in estate.customers]
        visible = access.subscriptions_visible_to(actor).filter(customer__in=customers)
        for name, found in (("subscriptions", visible), ("without_partner", queries.without_partner(visible))):
            counted = found.order_by().values_list("customer_id").annotate(Count("pk"))
            yield unordered(home._of_customers(Reader.of(actor), name), counted, ids=customers, **given)


def _children(partners: list[Any]) -> Any:
    found = Partner.objects.filter(organisation__parent__in=[one for one in partners if one])
    return found.values_list("organisation__parent").annotate(Count("pk"))


def pairs_of_whole_lists(_estate: Estate) -> Pairs:
    for whole in (staff._customers, staff._partners):
        yield Pair(
            lambda whole=whole: parts(prepared_whole(whole), ("organisation__name", "pk")),
            lambda whole=whole: parts(whole(), ("organisation__name", "pk")),
        )


def pairs_of_countries(_estate: Estate) -> Pairs:
    for pk, country in zip(Partner.objects.values_list("pk", flat=True)[:3], ("SE", "NO", "SE"), strict=False):
        Partner.objects.filter(pk=pk).update(country=country)
    named = Partner.objects.exclude(country="").values_list("country")
    yield Pair(directory._COUNTRIES.values, lambda: sorted(set(named)))


def pairs_of_reached(estate: Estate) -> Pairs:
    """Yield what is stored of companies, also of undetermined levels, and of metrics that the rules do not know."""
    today, choose = timezone.localdate(), estate.chance.choice
    keys = [one.pk for one in estate.partners[:2]]
    for program in computed_on(today):
        for company, result in judged(program, today, keys).items():
            for back in estate.chance.sample(range(9), 2):
                odd = [{**one, "metric": "unknown"} for one in result["metrics"]]
                stage = {"name": choose([None, "none", "active"]), "at_risk": choose([True, False])}
                level, total = choose([None, None, "silver"]), choose([None, 40, "45/7", [10, None]])
                more = {"level": level, "total": total, "metrics": choose([result["metrics"], odd, []])}
                day, told = today - timedelta(days=back), result | more | {"stage": result["stage"] | stage}
                rest = {"day": day, "level": level, "result": told}
                Attainment.objects.create(company_id=company, program=program.id, **rest)
    for partner in estate.partners[:3]:
        for day in (today, today - timedelta(days=4)):
            yield Pair(
                lambda partner=partner, day=day: reached(partner.pk, day),
                lambda partner=partner, day=day: _plain_reached(partner.organisation, day),
            )


def _plain_reached(company: Organisation, day: date) -> list[Reached]:
    whole = known(company, day, timezone.localdate())
    return [
        Reached(one.program, one.stage, one.level, one.total) for one in whole if one.level is not None or one.metrics
    ]


#: A part of tests.prepared.HELD.
HELD = {
    "competencies.queries._REACHED": pairs_of_reached,
    "associations.gaps.queries._likely": pairs_of_predecessors,
    "associations.gaps.queries._over": pairs_of_ended,
    "por.directory.forms._COUNTRIES": pairs_of_countries,
    "por.portal.queries._LOCATIONS": pairs_of_figures,
    "por.portal.queries._of_customers": pairs_of_figures,
    "por.portal.queries._of_partners": pairs_of_figures,
    "por.web.lists.prepared_whole": pairs_of_whole_lists,
    **{
        f"por.portal.queries.{name}": pairs_of_usage
        for name in ("_BY_KEYS", "_largest_changes", "_newest", "_of_workloads", "_own_tenant", "_totals")
    },
}
