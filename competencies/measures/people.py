"""The measure of people with the credentials that a rule asks for."""

from __future__ import annotations

from competencies.measures.asking import Ask, Query, nothing_in


def people(ask: Ask) -> Query:
    """Return the query of people who hold all credentials of one of the sets on the day, the last day included.

    A person counts at one company: that of the earliest of all their credentials valid on the day, and of the lower
    MPN ID if two are of the same day. Only what they hold there counts.
    """
    sets = {f"set_{number}": list(names) for number, names in enumerate(ask.credentials)}
    any_set = " OR ".join(f"array_agg(valid.credential::text) @> %({name})s::text[]" for name in sets) or "false"
    some = "WHERE company = ANY(%(companies)s)" if ask.companies is not None else ""
    parts = f"""
        SELECT company, NULL::bigint AS customer_id, NULL::bigint AS subscription_id, NULL::varchar AS workload,
            NULL::date AS month, 1::numeric AS amount, 0 AS caveat
        FROM home JOIN valid USING (person, company) {some} GROUP BY person, company HAVING {any_set}
    """
    given = {"day": ask.day, "companies": list(ask.companies or ()), **sets}
    return Query((_VALID, _HOME), parts, given, nothing_in("directory_credential"))


_VALID = """valid AS (
    SELECT one.person, one.credential, one.valid_from, location.number AS mpn_id,
        coalesce(location.parent_id, location.id) AS company
    FROM directory_credential AS one JOIN accounts_organisation AS location ON location.id = one.partner_id
    WHERE one.valid_from <= %(day)s AND (one.valid_to IS NULL OR one.valid_to >= %(day)s)
)"""
_HOME = """home AS (
    SELECT DISTINCT ON (person) person, company FROM valid ORDER BY person, valid_from, mpn_id COLLATE "C"
)"""
