"""The measure of people with the credentials that a rule asks for."""

from __future__ import annotations

from typing import Any

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
    if ask.suppose is None or not ask.suppose.people:
        return Query((VALID, HOME), parts, given, nothing_in("directory_credential"))
    parts += f"UNION ALL {_SUPPOSED} HAVING {any_set}"
    return Query((VALID, HOME), parts, given | _given(ask.suppose))


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


VALID = """valid AS (
    SELECT one.person, one.credential, one.valid_from, location.number AS mpn_id,
        coalesce(location.parent_id, location.id) AS company
    FROM directory_credential AS one JOIN accounts_organisation AS location ON location.id = one.partner_id
    WHERE one.valid_from <= %(day)s AND (one.valid_to IS NULL OR one.valid_to >= %(day)s)
)"""
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
