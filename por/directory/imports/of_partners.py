"""The files whose rows say something of a partner. A row of a later file corrects the one with the same key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext as _

from por.directory.imports.common import unknown
from por.directory.models import Partner
from por.imports.loading import HERE, Outcome, Places
from por.imports.reading import Unfit


@dataclass(frozen=True)
class OfPartners:
    """The statements that merge such a file into a table.

    `key` are the columns that tell the rows of a partner apart, and `figures` what can be corrected. `locations_only`
    says that a global account has no such rows.
    """

    file: str
    table: str
    key: Sequence[str]
    figures: Sequence[str]
    locations_only: bool

    def found(self) -> str:
        """Return the SQL of the rows that differ from what is stored, by partner, with why they are unfit."""
        refused = f"WHEN partner.kind = '{Partner.Kind.GLOBAL}' THEN 'partner_is_global'" if self.locations_only else ""
        return f"""
            SELECT staged.*, false AS apart, partner.organisation_id AS partner_pk, known.id IS NOT NULL AS is_known,
                CASE WHEN partner.organisation_id IS NULL THEN 'unknown_partner' {refused} END AS unfit
            FROM estate_staged_{self.file} AS staged
            LEFT JOIN directory_partner AS partner ON partner.mpn_id = staged.mpn_id
            LEFT JOIN {self.table} AS known ON known.partner_id = partner.organisation_id AND {self._same_key()}
            WHERE known.id IS NULL
                OR ({_of("staged", self.figures)}) IS DISTINCT FROM ({_of("known", self.figures)})
            ORDER BY partner.organisation_id, {_of("staged", self.key)}
        """

    def stored(self) -> str:
        """Return the SQL of what is stored of the partners in the file."""
        return f"""
            SELECT partner.mpn_id, {_of("known", [*self.key, *self.figures])}
            FROM {self.table} AS known
            JOIN directory_partner AS partner ON partner.organisation_id = known.partner_id
            WHERE partner.mpn_id IN (SELECT mpn_id FROM estate_staged_{self.file})
        """

    def merge_all(self, places: Places, outcome: Outcome) -> None:
        """Lock the partners of a batch, and save what is new or changed.

        This is the one place that knows which partners a batch has changed: it counts the rows for each of them.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT FROM directory_partner
                WHERE organisation_id IN (SELECT partner_pk FROM estate_found_{self.file} WHERE {HERE})
                ORDER BY organisation_id FOR NO KEY UPDATE
                """,
                places._asdict(),
            )
            cursor.execute(self._save(), places._asdict())
            for unfit, number, mpn_id, created, changed in cursor.fetchall():
                if unfit is None:
                    outcome.created[number] += created
                    outcome.changed[number] += changed
                else:
                    outcome.refuse(number, _unfit(unfit, mpn_id))

    def _same_key(self) -> str:
        return " AND ".join(f"known.{one} = staged.{one}" for one in self.key)

    def _save(self) -> str:
        """Return the statement that saves the rows. It reads the lines once: to save, count or refuse them."""
        columns = ", ".join([*self.key, *self.figures])
        return f"""
            WITH found AS MATERIALIZED (
                SELECT * FROM estate_found_{self.file} WHERE {HERE}
            ), saved AS (
                INSERT INTO {self.table} (partner_id, {columns})
                SELECT partner_pk, {columns} FROM found WHERE unfit IS NULL
                ON CONFLICT (partner_id, {", ".join(self.key)}) DO UPDATE
                SET {", ".join(f"{one} = excluded.{one}" for one in self.figures)}
            )
            SELECT unfit, CASE WHEN unfit IS NULL THEN partner_pk ELSE line END, mpn_id,
                count(*) FILTER (WHERE NOT is_known), count(*) FILTER (WHERE is_known)
            FROM found GROUP BY 1, 2, 3 ORDER BY 2
        """


def _of(table: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{table}.{one}" for one in columns)


def _unfit(code: str, mpn_id: str) -> Unfit:
    if code == "unknown_partner":
        return unknown("mpn_id", "partner", mpn_id)
    return Unfit("mpn_id", "partner_is_global", _("Enter the MPN ID of a location, not of the account above it."))
