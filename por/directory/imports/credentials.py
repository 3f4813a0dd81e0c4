"""The import of `credentials.csv`: which exams the people of a location passed, and which certificates they hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from por.directory.imports.common import check_first_year, required_mpn_id
from por.directory.imports.of_partners import OfPartners
from por.directory.models import Credential
from por.directory.rules import normal_credential
from por.imports.loading import File, Line
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit
from por.imports.staging import Refuse

NAMES = ("person", "mpn_id", "credential", "valid_from", "valid_to")
LONGEST_NAME = 200  # characters of the name of a person
#: How far ahead a credential may begin. A day after that is a slip of the pen.
AHEAD = timedelta(days=366)
NAMED = 20  # lines that the note names


@dataclass(slots=True)
class CredentialLine(Line):
    person: str
    mpn_id: str
    credential: str
    valid_from: date
    valid_to: date | None


def _parse(cells: Cells) -> CredentialLine:
    row = CredentialLine(
        line=cells.line,
        person=cells.name("person", most=LONGEST_NAME),
        mpn_id=required_mpn_id(cells, "mpn_id"),
        credential=_credential(cells),
        valid_from=cells.required_day("valid_from"),
        valid_to=cells.day("valid_to"),
    )
    check_first_year("valid_from", row.valid_from)
    if row.valid_from > timezone.now().date() + AHEAD:
        text = _("The day is more than a year ahead. Correct it, or import the row later.")
        raise Unfit("valid_from", "day_far_ahead", text)
    if row.valid_to is not None and row.valid_to < row.valid_from:
        text = _("The credential ends before it begins. Correct one of the two days.")
        raise Unfit("valid_to", "ends_before_it_begins", text)
    return row


def _credential(cells: Cells) -> str:
    if (found := normal_credential(cells.required("credential"))) is not None:
        return found
    message = _("Enter the type of the credential, a colon and its name, such as exam:70-347 or cert:MCSA-O365.")
    return cells.refuse("credential", "credential_malformed", message)


# The days on which a person has credentials at a company are merged into spans. In the order of the days, a span begins
# or ends at each edge: where two are open, the person is at two companies. One person may be at any number of them, so
# pairs are never compared.
_AT_TWO = """
    WITH staged AS (
        SELECT person, credential, valid_from, valid_to, line, partner.organisation_id AS partner_id
        FROM estate_staged_credentials JOIN directory_partner AS partner USING (mpn_id)
        WHERE partner.kind = 'location'
    ), every AS (
        SELECT person, partner_id, valid_from, valid_to FROM staged
        UNION ALL
        SELECT person, partner_id, valid_from, valid_to FROM directory_credential AS known
        WHERE person IN (SELECT person FROM staged) AND NOT EXISTS (
            SELECT FROM staged
            WHERE (staged.person, staged.partner_id, staged.credential, staged.valid_from)
                = (known.person, known.partner_id, known.credential, known.valid_from)
        )
    ), spans AS (
        SELECT person, unnest(range_agg(daterange(valid_from, valid_to, '[]'))) AS span
        FROM every JOIN accounts_organisation AS organisation ON organisation.id = partner_id
        GROUP BY person, coalesce(organisation.parent_id, organisation.id)
    ), edges AS (
        SELECT person, lower(span) AS day, 1 AS step FROM spans
        UNION ALL
        SELECT person, upper(span), -1 FROM spans WHERE NOT upper_inf(span)
    ), counted AS (
        SELECT person, sum(step) OVER (PARTITION BY person ORDER BY day, step) AS companies FROM edges
    )
    SELECT min(line) FROM staged WHERE person IN (SELECT person FROM counted WHERE companies > 1)
    GROUP BY person ORDER BY 1
"""


def _warn(refuse: Refuse) -> list[str]:
    """Return a note of the people in the file who are at two companies at once. It names neither them nor companies."""
    with connection.cursor() as cursor:
        cursor.execute(_AT_TWO)
        lines = [line for (line,) in cursor.fetchall()]
    if not lines:
        return []
    text = ngettext(
        "In credentials.csv, %(count)s person has valid credentials at two companies at once, and counts only where "
        "the earliest of them stands. See line %(lines)s.",
        "In credentials.csv, %(count)s people have valid credentials at two companies at once, and count only where "
        "the earliest of them stands. See lines %(lines)s.",
        len(lines),
    )
    shown = ", ".join(map(str, lines[:NAMED])) + (", …" if len(lines) > NAMED else "")
    return [text % {"count": len(lines), "lines": shown}]


_MERGING = OfPartners(
    file="credentials",
    table=Credential._meta.db_table,
    key=("person", "credential", "valid_from"),
    figures=("valid_to",),
    locations_only=True,
)
CREDENTIALS = File(
    name="credentials.csv",
    columns=Columns(
        every=NAMES,
        required=("person", "mpn_id", "credential", "valid_from"),
        days=("valid_from", "valid_to"),
    ),
    key=["person", "mpn_id", "credential", "valid_from"],
    stored=_MERGING.stored(),
    line=CredentialLine,
    parse=_parse,
    found=_MERGING.found,
    merge_all=_MERGING.merge_all,
    prepare=_warn,
)
