"""The measure of people with the credentials that a rule asks for."""

from __future__ import annotations

from typing import Any

from associations.credit import rows_of
from competencies.measures.asking import Ask, Query, Suppose
from competencies.measures.parts import nothing_in


def people(ask: Ask) -> Query:
    """Return the query of people who hold all credentials of one of the sets on the day, the last day included.

    A person counts at one company: that of the earliest of all their credentials valid on the day, and of the lower
    MPN ID if two are of the same day. Only what they hold there counts. People who are supposed hold theirs nowhere
    else, from the day on which they join.
    """
    sets = {f"set_{number}": list(names) for number, names in enumerate(ask.credentials)}
    any_set = " OR ".join(f"array_agg(valid.credential::text) @> %({name})s::text[]" for name in sets) or "false"
    some = "WHERE company = ANY(%(companies)s)" if ask.companies is not None else ""
    parts = f"""
        SELECT 0 AS asked, company, NULL::bigint AS customer_id, NULL::bigint AS subscription_id,
            NULL::varchar AS workload, NULL::date AS month, 1::numeric AS amount, 0 AS caveat
        FROM home JOIN valid USING (person, company) {some} GROUP BY person, company HAVING {any_set}
    """
    given = {"day": ask.day, "companies": list(ask.companies or ()), **sets}
    ctes = (valid("" if ask.companies is None else _THEIRS), HOME)
    if ask.suppose is None or not ask.suppose.people:
        return Query(ctes, parts, given, nothing_in("directory_credential"))
    parts += f"UNION ALL {_SUPPOSED} HAVING {any_set}"
    return Query(ctes, parts, given | _given(ask.suppose))


def _given(suppose: Suppose) -> dict[str, Any]:
    """Return the groups of people as columns: a row for each credential of each group."""
    rows = [
        (number, credential, group.count)
        for number, group in enumerate(suppose.people)
        for credential in group.credentials
    ]
    return {
        "supposed_company": suppose.units.company,
        "supposed_day": suppose.day,
        "supposed_groups": [number for number, _credential, _count in rows],
        "supposed_credentials": [credential for _number, credential, _count in rows],
        "supposed_counts": [count for _number, _credential, count in rows],
    }


def valid(people: str = "") -> str:
    """Return the expression `valid`: the credentials of a day, of everyone or of some people, who are looked up.

    `people` is SQL with their names, each once.
    """
    of_day = ["one.valid_from <= %(day)s", "(one.valid_to IS NULL OR one.valid_to >= %(day)s)"]
    found = f"(SELECT * FROM directory_credential AS one WHERE {' AND '.join(of_day)}) AS one"
    if people:
        on = ["one.person = theirs.person", *of_day]
        found = f"({people}) AS theirs (person) {rows_of('directory_credential', 'one', on, by_index=True)}"
    location = rows_of("accounts_organisation", "location", ["location.id = one.partner_id"], by_index=bool(people))
    return f"""valid AS (
        SELECT one.person, one.credential, one.valid_from, location.number AS mpn_id,
            coalesce(location.parent_id, location.id) AS company
        FROM {found} {location}
    )"""


# Whoever has had a credential at one of the companies may count for another one.
_THEIRS = f"""
    SELECT DISTINCT of_theirs.person FROM (
        SELECT id FROM accounts_organisation
        WHERE parent_id = ANY(%(companies)s) OR (parent_id IS NULL AND id = ANY(%(companies)s))
    ) AS location
    {rows_of("directory_credential", "of_theirs", ["of_theirs.partner_id = location.id"], by_index=True)}
"""
HOME = """home AS (
    SELECT DISTINCT ON (person) person, company FROM valid ORDER BY person, valid_from, mpn_id COLLATE "C"
)"""
_SUPPOSED = """
    SELECT 0, %(supposed_company)s::bigint, NULL::bigint, NULL::bigint, NULL::varchar, NULL::date,
        max(valid.people)::numeric, 0
    FROM unnest(%(supposed_groups)s::int[], %(supposed_credentials)s::text[], %(supposed_counts)s::int[])
        AS valid (number, credential, people)
    WHERE %(supposed_day)s::date <= %(day)s GROUP BY valid.number
"""
