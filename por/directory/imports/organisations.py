"""The import of `partners.csv` and `customers.csv`, with their contacts as administrators."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext as _

from por.accounts import zones
from por.accounts.models import LANGUAGES, Organisation
from por.accounts.rules import OrganisationKind
from por.directory.imports.changes import Stored, record_changes
from por.directory.imports.common import differs, mpn_id, required_mpn_id
from por.directory.imports.contacts import Contact, change_contacts, name_contacts
from por.directory.models import Customer, Partner
from por.history.actions.recording import EventDraft
from por.imports.loading import HERE, File, Line, Outcome, Places
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit, split_circles

LANGUAGE_CODES = [code for code, _name in LANGUAGES]


@dataclass(slots=True)
class PartnerLine(Line):
    mpn_id: str
    name: str
    kind: str
    parent_mpn_id: str
    city: str
    country: str
    market: str
    status: str
    contact_email: str
    language: str
    own_tenant_id: uuid.UUID | None
    is_in_circle: bool = False  # whether the file puts it, over others, below itself

    @property
    def number(self) -> str:
        return self.mpn_id


@dataclass(slots=True)
class CustomerLine(Line):
    tenant_id: uuid.UUID
    name: str
    domain: str
    country: str
    segment: str
    contact_email: str
    language: str

    @property
    def number(self) -> str:
        return str(self.tenant_id)


#: A row about an organisation.
OrganisationLine = PartnerLine | CustomerLine


def _save_organisations(
    kind: OrganisationKind,
    rows: Sequence[OrganisationLine],
    parents: dict[str, int],
    stored: Mapping[str, Partner | Customer],
    told: list[EventDraft],
) -> dict[str, Organisation]:
    """Create or update the rows' organisations and return them by number. A new contact becomes an administrator.

    The events of administrators that come and go are added to `told`.
    """
    known = {number: one.organisation for number, one in stored.items()}
    organisations = Organisation.objects.bulk_create(
        [
            Organisation(
                kind=kind,
                number=row.number,
                parent_id=parents.get(row.number),
                time_zone=_time_zone(row, stored.get(row.number)),
                **_common(row),
            )
            for row in rows
        ],
        update_conflicts=True,
        unique_fields=["kind", "number"],
        update_fields=["name", "contact_email", "language", "parent", "time_zone"],
    )
    contacts = {
        one.number: Contact(one.contact_email.lower(), one.pk, one.language)
        for one in organisations
        if one.contact_email
        and (one.number not in known or known[one.number].contact_email.lower() != one.contact_email.lower())
    }
    name_contacts(contact for number, contact in contacts.items() if number not in known)
    told += change_contacts([contact for number, contact in contacts.items() if number in known])
    return {one.number: one for one in organisations}


def _time_zone(row: OrganisationLine, stored: Partner | Customer | None) -> str:
    """Return the time zone of the row's country, unless the organisation has chosen another one."""
    if stored is not None and stored.organisation.time_zone != zones.of_country(stored.country):
        return stored.organisation.time_zone
    return zones.of_country(row.country)


def _keep_contact(row: OrganisationLine, stored: Organisation | None) -> None:
    """Let an empty cell change nothing."""
    row.contact_email = row.contact_email or (stored.contact_email if stored else "")


def _common(row: OrganisationLine) -> dict[str, str]:
    return {"name": row.name, "contact_email": row.contact_email, "language": row.language}


def _parse_partner(cells: Cells) -> PartnerLine:
    return PartnerLine(
        line=cells.line,
        mpn_id=required_mpn_id(cells, "mpn_id"),
        name=cells.name("name", most=200),
        kind=cells.choice("kind", Partner.Kind.values, words="account_type"),
        parent_mpn_id=mpn_id(cells, "parent_mpn_id"),
        city=cells.text("city", most=100),
        country=cells.country("country"),
        market=cells.choice("market", Partner.Market.values, default=""),
        status=cells.choice("status", Partner.Status.values),
        contact_email=cells.email("contact_email"),
        language=cells.choice("language", LANGUAGE_CODES, default="en"),
        own_tenant_id=cells.guid("tenant_id"),
    )


def _order_partners(rows: Iterable[PartnerLine]) -> Iterable[PartnerLine]:
    """Return the rows so that each comes after those it needs.

    First come global accounts. Then come locations, which may leave an account. Accounts that become locations are the
    last: by then the file has given their locations another parent.
    """
    ordered, circles = split_circles(
        rows,
        lambda row: row.number,
        lambda row: row.parent_mpn_id or None if row.kind == Partner.Kind.LOCATION else None,
    )
    for row in circles:
        row.is_in_circle = True
    former = set(Partner.objects.filter(kind=Partner.Kind.GLOBAL).values_list("mpn_id", flat=True))
    return sorted([*ordered, *circles], key=lambda row: _step(row, former))


GLOBAL, LOCATION, FORMER_GLOBAL = range(3)


def _step(row: PartnerLine, accounts: Collection[str]) -> int:
    """Return when the row is merged. `accounts` are the MPN IDs of stored global accounts."""
    if row.kind == Partner.Kind.GLOBAL:
        return GLOBAL
    return FORMER_GLOBAL if row.number in accounts else LOCATION


def _merge_partners(rows: Sequence[PartnerLine], outcome: Outcome) -> None:
    numbers = {row.number for row in rows} | {row.parent_mpn_id for row in rows if row.parent_mpn_id}
    locked = (
        Partner.objects.filter(mpn_id__in=numbers)
        .select_related("organisation")
        .order_by("pk")
        .select_for_update(of=("self", "organisation"), no_key=True)
    )
    stored = {partner.mpn_id: partner for partner in locked}
    kinds: dict[str, str] = {number: partner.kind for number, partner in stored.items()}
    parents = {number: partner.pk for number, partner in stored.items()}
    accounts = [number for number, kind in kinds.items() if kind == Partner.Kind.GLOBAL]
    saved: dict[str, Stored] = {}
    told: list[EventDraft] = []
    for step in (GLOBAL, LOCATION, FORMER_GLOBAL):
        these = [row for row in rows if _step(row, accounts) == step]
        obstacles = _obstacles(these, stored)
        fit = []
        for row in these:
            try:
                _check_partner(row, kinds, obstacles)
            except Unfit as unfit:
                outcome.refuse(row.line, unfit)
                continue
            kinds[row.number] = row.kind
            fit.append(row)
        saved |= _save_partners(fit, stored, parents, outcome, told)
    before = {number: Stored.of(one) for number, one in stored.items()}
    record_changes("partner", before, saved, told)


#: Called with the keys of locations, which are locked; yield what each is still named in, in words.
use_checks: list[Callable[[Collection[int]], Iterable[tuple[int, str]]]] = []


def _obstacles(rows: Sequence[PartnerLine], stored: Mapping[str, Partner]) -> dict[str, Unfit]:
    """Return why accounts cannot become locations, and locations cannot become accounts, by MPN ID."""
    changed = {old.pk: old for row in rows if (old := stored.get(row.number)) and old.kind != row.kind}
    if not changed:
        return {}
    below: dict[int, list[str]] = defaultdict(list)
    children = Organisation.objects.filter(parent__in=changed).order_by("number")
    for parent, number in children.values_list("parent", "number"):
        below[parent or 0].append(number)
    has_locations = _(
        "This is a global account with locations: %(numbers)s. Give each of them another parent in the same file."
    )
    found = {
        changed[pk].mpn_id: Unfit("kind", "has_locations", has_locations % {"numbers": ", ".join(numbers)})
        for pk, numbers in below.items()
    }
    is_used = _("A global account cannot be the partner of record, and this location is still in use: %(what)s.")
    uses: dict[int, list[str]] = defaultdict(list)
    locations = [pk for pk, one in changed.items() if one.kind == Partner.Kind.LOCATION]
    for check in use_checks if locations else ():
        for pk, what in check(locations):
            uses[pk].append(what)
    for pk, what_of in uses.items():
        found[changed[pk].mpn_id] = Unfit("kind", "location_in_use", is_used % {"what": "; ".join(what_of)})
    return found


def _check_partner(row: PartnerLine, kinds: dict[str, str], obstacles: Mapping[str, Unfit]) -> None:
    """Raise Unfit if the row does not fit the kinds of other partners, which are those before the row."""
    was_global = kinds.get(row.number) == Partner.Kind.GLOBAL
    if row.is_in_circle and (was_global or kinds.get(row.parent_mpn_id) != Partner.Kind.GLOBAL):
        raise Unfit(
            "parent_mpn_id",
            "cycle_of_parents",
            _("This would make the partner its own parent. Enter a different parent."),
        )
    if row.number in obstacles:
        raise obstacles[row.number]
    if not row.parent_mpn_id:
        return
    if row.kind == Partner.Kind.GLOBAL:
        raise Unfit(
            "parent_mpn_id", "parent_of_global", _("A global account cannot have a parent. Leave the parent empty.")
        )
    if row.parent_mpn_id not in kinds:
        raise Unfit(
            "parent_mpn_id",
            "parent_not_found",
            _("No partner has the parent’s MPN ID, or the row for that partner failed."),
        )
    if kinds[row.parent_mpn_id] != Partner.Kind.GLOBAL:
        raise Unfit("parent_mpn_id", "parent_is_not_global", _("The parent of a location must be a global account."))


def _save_partners(
    rows: Sequence[PartnerLine],
    stored: dict[str, Partner],
    pks: dict[str, int],
    outcome: Outcome,
    told: list[EventDraft],
) -> dict[str, Stored]:
    """Create or update the rows' partners; return those that are new or changed, by MPN ID."""
    fields = ("kind", "city", "country", "market", "status", "own_tenant_id")
    parents = {row.number: pks[row.parent_mpn_id] for row in rows if row.parent_mpn_id}
    todo = []
    for row in rows:
        old = stored.get(row.number)
        _keep_contact(row, None if old is None else old.organisation)
        if (
            old is None
            or differs(old, **{name: getattr(row, name) for name in fields})
            or differs(old.organisation, parent_id=parents.get(row.number), **_common(row))
        ):
            todo.append(row)
        else:
            outcome.unchanged += 1
    organisations = _save_organisations(OrganisationKind.PARTNER, todo, parents, stored, told)
    Partner.objects.bulk_create(
        [
            Partner(
                organisation=organisations[row.number],
                mpn_id=row.number,
                **{name: getattr(row, name) for name in fields},
            )
            for row in todo
        ],
        update_conflicts=True,
        unique_fields=["organisation"],
        update_fields=list(fields),
    )
    for row in todo:
        pk = pks[row.number] = organisations[row.number].pk
        (outcome.changed if row.number in stored else outcome.created)[pk] += 1
    return {row.number: Stored(organisations[row.number], str(row.own_tenant_id or ""), row.kind) for row in todo}


_STORED_PARTNERS = """
    SELECT partner.mpn_id, coalesce(parent.number, '') AS parent_mpn_id, city, country, market, one.contact_email,
        one.language, own_tenant_id
    FROM directory_partner AS partner
    JOIN accounts_organisation AS one ON one.id = organisation_id
    LEFT JOIN accounts_organisation AS parent ON parent.id = one.parent_id
"""
PARTNERS = File(
    name="partners.csv",
    columns=Columns(
        every=(
            *("mpn_id", "name", "kind", "parent_mpn_id", "city", "country", "market", "status", "contact_email"),
            *("language", "tenant_id"),
        ),
        required=("mpn_id", "name", "kind", "status"),
        closed={
            "kind": (Partner.Kind.values, "account_type"),
            "market": (Partner.Market.values, ""),
            "status": (Partner.Status.values, ""),
            "language": (LANGUAGE_CODES, ""),
        },
    ),
    key=["mpn_id"],
    stored=_STORED_PARTNERS,
    line=PartnerLine,
    parse=_parse_partner,
    merge=_merge_partners,
    order=_order_partners,
)


def _parse_customer(cells: Cells) -> CustomerLine:
    return CustomerLine(
        line=cells.line,
        tenant_id=cells.required_guid("tenant_id"),
        name=cells.name("name", most=200),
        domain=cells.text("domain", most=253),
        country=cells.country("country"),
        segment=cells.choice("segment", Customer.Segment.values, words="segment", default=""),
        contact_email=cells.email("contact_email"),
        language=cells.choice("language", LANGUAGE_CODES, default="en"),
    )


def _found_customers() -> str:
    """Return the SQL of the rows that differ from what is stored."""
    return """
        SELECT staged.*, organisation.id IS NOT NULL AS apart
        FROM estate_staged_customers AS staged
        LEFT JOIN accounts_organisation AS organisation
            ON organisation.kind = 'customer' AND organisation.number = staged.tenant_id::text
        LEFT JOIN directory_customer AS customer USING (tenant_id)
        WHERE (staged.name, staged.domain, staged.country, staged.segment,
                coalesce(nullif(staged.contact_email, ''), organisation.contact_email, ''), staged.language)
            IS DISTINCT FROM (organisation.name, customer.domain, customer.country, customer.segment,
                organisation.contact_email, organisation.language)
    """


def _merge_new_customers(places: Places, outcome: Outcome) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH line AS (
                SELECT * FROM estate_found_customers WHERE {HERE}
            ), organisation AS (
                INSERT INTO accounts_organisation (kind, number, name, contact_email, language, time_zone)
                SELECT 'customer', tenant_id, name, contact_email, language,
                    coalesce(%(zones)s::jsonb ->> country, %(zone)s)
                FROM line
                RETURNING id, number, contact_email, language
            ), customer AS (
                INSERT INTO directory_customer (organisation_id, tenant_id, domain, country, segment)
                SELECT organisation.id, tenant_id, domain, country, segment
                FROM line JOIN organisation ON number = tenant_id::text
            )
            SELECT contact_email, id, language FROM organisation
            """,
            {**places._asdict(), "zones": json.dumps(zones.by_country()), "zone": zones.DEFAULT},
        )
        found = [Contact(email.lower(), pk, language) for email, pk, language in cursor.fetchall()]
    outcome.created.update(one.organisation for one in found)
    name_contacts(one for one in found if one.email)


def _merge_customers(rows: Sequence[CustomerLine], outcome: Outcome) -> None:
    locked = (
        Customer.objects.filter(tenant_id__in=[row.tenant_id for row in rows])
        .select_related("organisation")
        .order_by("pk")
        .select_for_update(of=("self", "organisation"), no_key=True)
    )
    stored = {str(customer.tenant_id): customer for customer in locked}
    todo = []
    for row in rows:
        old = stored.get(row.number)
        _keep_contact(row, None if old is None else old.organisation)
        if (
            old is None
            or differs(old, domain=row.domain, country=row.country, segment=row.segment)
            or differs(old.organisation, **_common(row))
        ):
            todo.append(row)
        else:
            outcome.unchanged += 1
    told: list[EventDraft] = []
    organisations = _save_organisations(OrganisationKind.CUSTOMER, todo, {}, stored, told)
    Customer.objects.bulk_create(
        [
            Customer(
                organisation=organisations[row.number],
                tenant_id=row.tenant_id,
                domain=row.domain,
                country=row.country,
                segment=row.segment,
            )
            for row in todo
        ],
        update_conflicts=True,
        unique_fields=["organisation"],
        update_fields=["domain", "country", "segment"],
    )
    for row in todo:
        pk = organisations[row.number].pk
        (outcome.changed if row.number in stored else outcome.created)[pk] += 1
    before = {number: Stored(one.organisation) for number, one in stored.items()}
    record_changes("customer", before, {number: Stored(one) for number, one in organisations.items()}, told)


_STORED_CUSTOMERS = """
    SELECT tenant_id, domain, country, segment, contact_email, language
    FROM directory_customer JOIN accounts_organisation AS one ON one.id = organisation_id
"""
CUSTOMERS = File(
    name="customers.csv",
    columns=Columns(
        every=("tenant_id", "name", "domain", "country", "segment", "contact_email", "language"),
        required=("tenant_id", "name"),
        closed={"segment": (Customer.Segment.values, "segment"), "language": (LANGUAGE_CODES, "")},
    ),
    key=["tenant_id"],
    stored=_STORED_CUSTOMERS,
    line=CustomerLine,
    parse=_parse_customer,
    merge=_merge_customers,
    found=_found_customers,
    merge_all=_merge_new_customers,
)
