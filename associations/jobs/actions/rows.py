"""The rows of a job as they are sent: their columns, and how they are read from a CSV or from pasted lines."""

from __future__ import annotations

import csv
import io
from typing import NamedTuple

from django.utils.translation import gettext as _

from associations.jobs.models import Job
from por.db.storing import is_unstorable
from por.errors import Refused

#: The most rows of a job.
MOST = 1000
#: The columns that the rows of each action need.
COLUMNS = {
    Job.Action.ATTACH: ("subscription_id", "mpn_id"),
    Job.Action.REMOVE: ("subscription_id",),
    Job.Action.ANSWER: ("subscription_id", "mpn_id"),
    Job.Action.INVITE: ("tenant_id", "subscription_id"),
}
#: The column that can stand beside them, for what the other side reads. It is kept as the reason of the row.
WORDS = {Job.Action.REMOVE: "reason", Job.Action.ANSWER: "reason", Job.Action.INVITE: "message"}
#: What stands in place of an MPN ID for the answer that neither partner does the work.
NEITHER = "neither"
#: The most lines of its file, blank ones and those of long cells included, and the most columns.
LINES, WIDEST = 10 * MOST, 100
#: What separates the columns: cells that are copied from a spreadsheet have tabs between them.
SEPARATORS = "\t;,"


class Pair(NamedTuple):
    """A row as it was sent."""

    subscription_id: str
    mpn_id: str = ""
    reason: str = ""
    tenant_id: str = ""


def pairs_from(text: str, action: str = Job.Action.ATTACH) -> list[Pair]:
    """Return the rows of a text with a header, separated by commas, semicolons or tabs. Raises Refused on `rows`."""
    lines = text.removeprefix("\ufeff").strip("\r\n").splitlines()
    header = lines[0] if lines else ""
    if len(lines) > LINES or sum(map(header.count, SEPARATORS)) >= WIDEST:
        raise too_many_rows()
    separator = next((one for one in SEPARATORS if one in header), ",")
    reader = csv.DictReader(io.StringIO("\n".join(lines)), delimiter=separator)
    try:
        names = {(name or "").strip().casefold(): name for name in reader.fieldnames or []}
        columns = COLUMNS[Job.Action(action)]
        if missing := [one for one in columns if one not in names]:
            message = _("The first line must contain the column names %(names)s. The column %(name)s is missing.")
            given = {"names": ", ".join(columns), "name": missing[0]}
            raise Refused("column_missing", message % given, field="rows")
        taken = {one: names[one] for one in columns}
        if (words := WORDS.get(Job.Action(action))) in names:
            taken["reason"] = names[words]
        pairs = [
            Pair(**{one: (row[name] or "").strip() for one, name in taken.items()})
            for row in reader
            if any(row.values())
        ]
    except csv.Error as error:
        raise Refused(
            "malformed_csv", _("We cannot read the rows as CSV. Check the format and try again."), field="rows"
        ) from error
    for number, pair in enumerate(pairs):
        for column, text in pair._asdict().items():
            if is_unstorable(text):
                message = _("Row %(row)s has a character in %(name)s that we cannot save. Remove it.")
                place = f"rows.{number}.{column}"
                raise Refused("not_storable", message % {"row": number + 1, "name": column}, field=place)
    return pairs


def too_many_rows() -> Refused:
    """Return the refusal for more rows than a job may have."""
    message = _("You can send up to %(most)s rows at a time. Split the file into smaller files.") % {"most": MOST}
    return Refused("too_many_rows", message, field="rows")
