"""Who sees what of a subscription: each cell of the table, over the API and on the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Subscription, Usage
from por.web import formatting
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription

#: Each of them has usage. The former partner was the partner of record at the end of the first two.
MONTHS = ["2025-09", "2025-08", "2025-07"]
HALDEN = "Halden Konsult AB"


@dataclass(frozen=True)
class Sees:
    """What one reader sees of the subscription whose partner of record is Halden."""

    row: bool
    record: str = ""  # the partner of record they see: the name, "hidden", or "" for none
    usage: bool = False  # in the row
    months: int = 0  # on the usage page and in its file
    verbs: tuple[str, ...] = ()  # of its history, newest first


EVERYTHING = ("attached", "removed", "attached")
TABLE = {
    "customer": Sees(True, HALDEN, True, 3, EVERYTHING),
    "staff": Sees(True, HALDEN, True, 3, EVERYTHING),
    "dpor, open": Sees(True, HALDEN, True, 3, ("attached",)),
    "dpor, open, its global account": Sees(True, HALDEN, True, 3, ("attached",)),
    "dpor, former": Sees(True, "hidden", False, 2, ("removed", "attached")),
    "dpor, undone": Sees(False),
    "cpor": Sees(True, "hidden"),  # made by an import: of no workload that is known
    "cpor, a workload": Sees(True, "hidden", False, 3),
    "cpor, a workload, former": Sees(True, "hidden", False, 2),
    "cpor, a workload, undone": Sees(False),
    "cpor, a workload without usage": Sees(True, "hidden"),
    "cpor, a workload of other products": Sees(False),
    "cpor, the subscription": Sees(True, "hidden", False, 3),
    "cpor, the subscription, former": Sees(True, "hidden", False, 2),
    "pal": Sees(True, "hidden"),
    "delegated_admin": Sees(True, "hidden"),
    "delegated_admin, former": Sees(True, "hidden"),
    "fasttrack": Sees(True, "hidden"),
    "transacting": Sees(True, "hidden"),
    "csp": Sees(True, "hidden"),
    "osa_form": Sees(True, "hidden"),
    "another partner": Sees(False),
    "another customer": Sees(False),
    "a new partner's viewer": Sees(False),
}
TENANT_KINDS = {"pal", "delegated_admin", "fasttrack"}
#: The claims of the table. Of each unit, one is in force at a time.
FORMER = {"began_at": datetime(2025, 7, 10, tzinfo=UTC), "ended_at": datetime(2025, 9, 10, tzinfo=UTC)}
LATER = {"began_at": datetime(2025, 9, 10, tzinfo=UTC)}
OF_WORKLOAD = {"program": "osu_m365", "role": "usage"}
OF_SUBSCRIPTION = {"program": "osu_bizapps", "role": "usage"}
CLAIMS: dict[str, dict[str, Any]] = {
    "cpor, a workload": {**OF_WORKLOAD, "workload": "exo", **LATER},
    "cpor, a workload, former": {**OF_WORKLOAD, "workload": "exo", **FORMER},
    "cpor, a workload, undone": {**OF_WORKLOAD, "workload": "exo", "undone_at": datetime(2025, 9, 1, tzinfo=UTC)},
    "cpor, a workload without usage": {**OF_WORKLOAD, "workload": "spo"},
    "cpor, a workload of other products": {**OF_WORKLOAD, "workload": "azure"},
    "cpor, the subscription": {**OF_SUBSCRIPTION, **LATER},
    "cpor, the subscription, former": {**OF_SUBSCRIPTION, **FORMER},
}


@pytest.fixture(scope="module")
def subscription(shared: None) -> Subscription:
    subscription = make_subscription(make_customer())
    for month in MONTHS:
        Usage.objects.create(
            subscription=subscription, month=date.fromisoformat(f"{month}-01"), workload="exo", paid_units=420,
            active_users=300,
        )  # fmt: skip
    return subscription


@pytest.fixture(scope="module")
def viewers(subscription: Subscription) -> dict[str, Actor]:
    """Return every reader of the table, where Halden is the partner of record and Nordvik a former one."""
    customer = subscription.customer
    admin = make_member(customer.organisation)
    nordvik, undone = make_partner("Nordvik Cloud AB"), make_partner("Ångrad AB")
    company = make_partner("Halden Group", kind="global")
    halden = make_partner(HALDEN, parent=company.organisation)
    where = subscription.subscription_id
    once = attaching.attach(where, nordvik.mpn_id, by=admin).association
    attaching.remove(where, by=admin, reason="Their project has ended.")
    # As an import of an old record would make it: the partner of record at the end of July and of August.
    Association.objects.filter(pk=once.pk).update(began_at="2025-07-10T00:00Z", ended_at="2025-09-10T00:00Z")
    attaching.attach(where, undone.mpn_id, by=admin)
    undo.undo(where, by=admin)
    attaching.attach(where, halden.mpn_id, by=admin)
    partners = {
        "dpor, open": halden,
        "dpor, open, its global account": company,
        "dpor, former": nordvik,
        "dpor, undone": undone,
        "another partner": make_partner("Utanför AB"),
    }
    for kind in ("cpor", "pal", "delegated_admin", "fasttrack", "transacting", "csp", "osa_form"):
        partners[kind] = make_partner(f"{kind} AB")
        associate(partners[kind], kind, customer, subscription)
    for name, fields in CLAIMS.items():
        partners[name] = make_partner(f"{name} AB")
        associate(partners[name], "cpor", customer, subscription, **fields)
    partners["delegated_admin, former"] = make_partner("Tidigare AB")
    associate(
        partners["delegated_admin, former"], "delegated_admin", customer, subscription,
        ended_at=datetime(2025, 9, 1, tzinfo=UTC),
    )  # fmt: skip
    return {
        "customer": admin,
        "staff": make_staff("auditor"),
        "another customer": make_member(make_customer("Ekholmen AB").organisation),
        "a new partner's viewer": make_member(make_partner("Ny AB").organisation, "viewer"),
        **{name: make_member(partner.organisation) for name, partner in partners.items()},
    }


def associate(partner: Any, kind: str, customer: Customer, subscription: Subscription, **fields: Any) -> None:
    of_tenant = kind in TENANT_KINDS or "workload" in fields
    began = {"began_at": datetime(2025, 1, 1, tzinfo=UTC)}
    Association.objects.create(
        kind=kind, partner=partner, customer=customer, source="estate",
        subscription=None if of_tenant else subscription, **began | fields,
    )  # fmt: skip


def named(of_record: dict[str, Any] | None) -> str:
    return "" if of_record is None else "hidden" if of_record.get("hidden") else of_record["name"]


def verbs(events: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the verbs, without the common prefix."""
    return tuple(event["verb"].removeprefix("partner_of_record.") for event in events)


@pytest.mark.parametrize("name", TABLE)
def test_api_shows_each_reader_what_the_table_allows(viewers, subscription, name):
    sees, api = TABLE[name], Api(viewers[name])
    address = f"subscriptions/{subscription.subscription_id}/"
    listed = api.get("subscriptions/").json()["results"]
    alone = api.get(address)
    assert len(listed) == sees.row
    assert alone.status_code == (200 if sees.row else 404)
    for part in ("history/", "usage/"):
        assert api.get(address + part).status_code == (200 if sees.row else 404)
    if not sees.row:
        assert HALDEN not in alone.content.decode()
        return
    assert listed == [alone.json()]
    assert named(alone.json()["partner_of_record"]) == sees.record
    assert (alone.json()["usage"] is not None) == sees.usage
    months = [one["month"] for one in api.get(f"{address}usage/").json()["results"]]
    assert months == (MONTHS if sees.months == 3 else MONTHS[3 - sees.months :] if sees.months else [])
    file = b"".join(api.get(f"{address}usage/", {"format": "csv"})).decode()
    assert [month for month in MONTHS if month in file] == months
    events = api.get(f"{address}history/").json()["results"]
    struck_out = ("attach_undone", "attached") if name in {"customer", "staff"} else ()
    assert verbs(events) == sees.verbs[:1] + struck_out + sees.verbs[1:]


@pytest.mark.parametrize("name", [name for name, sees in TABLE.items() if name not in {"customer", "staff"}])
def test_no_page_or_answer_shows_a_partner_the_name_of_another(viewers, subscription, name):
    viewer, sees = viewers[name], TABLE[name]
    api = Api(viewer)
    address = f"subscriptions/{subscription.subscription_id}/"
    answers = [api.get(path).content for path in ("subscriptions/", "associations/", address, f"{address}history/")]
    answers += [b"".join(api.get(path, {"format": "csv"})) for path in ("subscriptions/", "associations/")]
    if viewer.kind == "partner":
        client = Client()
        client.force_login(viewer.user)
        pages = [reverse(f"portal:{one}") for one in ("partner_home", "partner_history")]
        pages += [reverse("associations:partner_subscription_list") + query for query in ("?view=all", "?format=csv")]
        pages.append(reverse("associations:partner_subscription_detail", args=[subscription.subscription_id]))
        pages.append(reverse("portal:partner_customer_detail", args=[subscription.customer.tenant_id]))
        answers += [b"".join(client.get(page)) for page in pages]
    others = {"Nordvik Cloud AB": "dpor, former", HALDEN: "dpor, open", "Ångrad AB": "dpor, undone"}
    own = {partner for partner, whose in others.items() if name.startswith(whose)}
    for partner in others.keys() - own - {sees.record}:
        assert not [answer for answer in answers if partner.encode() in answer], partner


@pytest.mark.parametrize("name", [name for name in TABLE if name.startswith("dpor")])
def test_partner_cannot_find_another_by_its_number_or_name(viewers, subscription, name):
    halden = Association.objects.of_record().get(ended_at=None, undone_at=None).partner
    api = Api(viewers[name])
    expected = 1 if TABLE[name].record == HALDEN else 0
    assert len(api.get("subscriptions/", {"partner_of_record": halden.mpn_id}).json()["results"]) == expected
    assert len(api.get("subscriptions/", {"search": "Halden Konsult"}).json()["results"]) == expected
    assert len(api.get("associations/", {"mpn_id": halden.mpn_id}).json()["results"]) == expected


@pytest.mark.parametrize("name", TABLE)
def test_partner_lists_only_its_own_associations(viewers, subscription, name):
    kinds = [one["kind"] for one in Api(viewers[name]).get("associations/").json()["results"]]
    if name in {"customer", "staff"}:
        assert len(kinds) == 16
        return
    own = name.partition(",")[0]
    is_listed = TABLE[name].row or name == "cpor, a workload of other products"
    assert kinds == ([own] if is_listed else [])


def months_in(table: str) -> list[str]:
    """Return the months whose name is in a table, as pages write it."""
    return [month for month in MONTHS if formatting.month_text(date.fromisoformat(f"{month}-01")) in table]


def test_pages_and_files_of_usage_show_each_reader_the_months_of_the_table(viewers, subscription):
    for name, sees in TABLE.items():
        viewer = viewers[name]
        if viewer.is_staff:
            continue  # staff have no page of one subscription
        web = Client()
        web.force_login(viewer.user)
        months = MONTHS[3 - sees.months :] if sees.months else []
        whose = "partner_subscription_usage" if viewer.kind == "partner" else "subscription_usage"
        address = f"{reverse(f'portal:{whose}', args=[subscription.subscription_id])}?months=all"
        page = web.get(address)
        assert page.status_code == (200 if sees.row else 404), name
        if sees.row:
            table = page.text.partition("Show as table")[2]
            assert months_in(table) == months, name
            assert {month for month in MONTHS if month in file_of(web, address)} == set(months), name
            assert page.context["seen"].whole == (sees.months == 3 and name not in CLAIMS), name
            assert [one.span is None for one in page.context["seen"].claimed] == (
                ["former" not in name] if name in CLAIMS else []
            ), name
            assert ("You can see Jul 2025 – Aug 2025 because" in page.text) == (name == "dpor, former"), name
            assert ("You cannot see usage" in page.text) == (not months and name not in CLAIMS), name
            assert ("of Exchange Online because" in page.text) == name.startswith("cpor, a workload") * bool(months), (
                name
            )
        if viewer.kind != "partner":
            continue
        of_record = sees.months == 3 and name not in CLAIMS
        for view, shows in (("", of_record), ("former", name == "dpor, former"), ("own", False)):
            address = f"{reverse('portal:partner_usage')}?months=all&view={view}"
            page, shown = web.get(address), months if shows else []
            assert months_in(page.text.partition("Show as table")[2]) == shown, (name, view)
            assert [month for month in MONTHS if month in file_of(web, address)] == shown[:1], (name, view)
            assert (str(subscription.subscription_id)[:8] in page.text) == shows, (name, view)


def file_of(web: Client, address: str) -> str:
    return b"".join(web.get(f"{address}&format=csv")).decode()
