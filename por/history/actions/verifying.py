"""Verifying that no event was changed after it was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.core.files.storage import storages
from django.db import connection
from django.db.models import Max

from por.history import seals
from por.history.actions.sealing import FOLDER
from por.history.models import Event, Seal


class Broken(NamedTuple):
    """The first event at which a chain does not hold."""

    chain: str
    seq: int
    why: str


@dataclass
class Findings:
    """The result of a check. `unfit` lists the files of signed heads that prove nothing, each with the reason."""

    broken: list[Broken] = field(default_factory=list)
    unfit: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0
    heads: int = 0
    last_at: datetime | None = None
    away: str = ""  # why the files could not be read; empty if they could


def examine() -> Findings:
    """Check every chain, and compare it with its signed heads; return the first broken event of each broken chain."""
    first = {one.chain: one for one in verify()}
    findings = Findings()
    try:
        for signed_at_seq, one in _compare(findings):
            # The check of the chain names the exact event; a signed head only shows a break at or before its place.
            if one.chain not in first or first[one.chain].seq > signed_at_seq:
                first[one.chain] = one
    except Exception as error:  # of the disk, the network or the client; the result of the chains is known already
        findings.away = f"{type(error).__name__}: {error}"
    findings.broken = sorted(first.values())
    return findings


# --- The chains by themselves -----------------------------------------------------------------------------------


def verify() -> Iterator[Broken]:
    """Yield the first broken event of each chain that does not hold in itself, with what is wrong."""
    with connection.cursor() as cursor:
        cursor.execute(_BROKEN)
        for row in cursor.fetchall():
            yield Broken(*row)


#: What an event's hash covers, in one canonical text: that of a jsonb object, whose keys stand in the order of their
#: length. The trigger of migration 0012 uses the same expression. To put the text together takes less than to build the
#: object first. Version 1 has no `recorded_at`; one that was added to it is part of the text, and so does not fit.
HASH = """encode(sha256(convert_to(concat(prev,
    '{"at": ', (extract(epoch FROM at) * 1000000)::bigint, ', "seq": ', seq, ', "verb": ', to_json(verb),
    ', "chain": ', to_json(chain), ', "reason": ', to_json(reason), ', "changes": ', changes,
    ', "parties": ', parties, ', "actor_id": ', coalesce(actor_id::text, 'null'),
    ', "object_id": ', to_json(object_id), ', "actor_name": ', to_json(actor_name),
    ', "request_id": ', to_json(request_id), ', "object_kind": ', to_json(object_kind),
    ', "object_name": ', to_json(object_name),
    CASE WHEN hash_version <> 1 OR recorded_at IS NOT NULL THEN concat(
        ', "recorded_at": ', (extract(epoch FROM recorded_at) * 1000000)::bigint, ', "hash_version": ', hash_version
    ) END,
    ', "actor_organisation_id": ', coalesce(actor_organisation_id::text, 'null'),
    ', "actor_organisation_name": ', to_json(actor_organisation_name), '}'), 'UTF8')), 'hex')"""

# Hashing is the costly part. It is a query of its own with an aggregate per chain, because only then does the database
# run it in parallel.
_BROKEN = f"""
WITH links AS (
    SELECT * FROM (
        SELECT chain, seq, hash, lead(seq) OVER in_order IS NULL AS is_last,
            seq <> lag(seq, 1, 0::bigint) OVER in_order + 1 AS is_after_gap,
            prev <> lag(hash, 1, '') OVER in_order AS is_unlinked
        FROM history_event WINDOW in_order AS (PARTITION BY chain ORDER BY seq)
    ) AS every WHERE is_last OR is_after_gap OR is_unlinked
), readers AS (
    SELECT event_id, jsonb_agg(organisation_id ORDER BY organisation_id) AS ids FROM history_party GROUP BY event_id
), last AS (
    SELECT chain, seq, hash FROM links WHERE is_last
), found AS (
    SELECT chain, seq, 1 AS rank, CASE
        WHEN is_after_gap THEN 'an event is missing before it' ELSE 'it does not follow the event before it'
    END AS why
    FROM links WHERE is_after_gap OR is_unlinked
    UNION ALL
    SELECT chain, min(seq), 2, 'its content was changed' FROM history_event WHERE hash <> {HASH} GROUP BY chain
    UNION ALL
    SELECT chain, min(seq), 3, 'its readers were changed' FROM history_event LEFT JOIN readers ON event_id = id
    WHERE parties <> coalesce(ids, '[]') GROUP BY chain
    UNION ALL
    SELECT coalesce(head.chain, last.chain), least(coalesce(last.seq, 0), head.seq) + 1, 4, CASE
        WHEN last.chain IS NULL THEN 'all its events are missing'
        WHEN head.chain IS NULL THEN 'the head of its chain is missing'
        WHEN head.seq > last.seq THEN 'the newest events are missing'
        WHEN head.seq < last.seq THEN 'it was added past the head of its chain'
        ELSE 'the head of its chain was changed'
    END
    FROM history_chainhead AS head FULL JOIN last ON last.chain = head.chain
    WHERE (head.seq, head.hash) IS DISTINCT FROM (last.seq, last.hash)
)
SELECT DISTINCT ON (chain) chain, seq, why FROM found ORDER BY chain, seq, rank
"""


# --- The chains against what was signed -------------------------------------------------------------------------


class _Place(NamedTuple):
    """The first place of a chain whose event differs from the signed one."""

    seq: int
    at: datetime
    missing: bool


def _compare(findings: Findings) -> list[tuple[int, Broken]]:
    """Compare the chains with every file of signed heads; return each chain that differs, and from which place on.

    A file is read in pieces, so memory does not grow with the chains.
    """
    written = dict(
        Seal.objects.order_by("pk").values_list("signature", "name")
    )  # read before the files, so each row has its file
    storage = storages["default"]
    try:
        names = [f"{FOLDER}/{name}" for name in sorted(storage.listdir(FOLDER)[1])]
    except FileNotFoundError:
        names = []
    sealed: dict[str, seals.Sealed] = {}
    places: dict[str, _Place] = {}
    for name in names:
        with storage.open(name) as file:
            try:
                sealed[name] = seals.read(file)
            except seals.Unfit as unfit:
                findings.unfit.append((name, str(unfit)))
                continue
            for heads in _pieces(seals.heads(file)):
                findings.heads += len(heads)
                for chain, seq, missing in _not_as_signed(heads):
                    place = _Place(seq, sealed[name].at, missing)
                    places[chain] = min(places.get(chain, place), place)
    findings.files = len(sealed)
    findings.last_at = max((one.at for one in sealed.values()), default=None)
    findings.unfit += _missing(written, names, sealed)
    return list(_first_rewritten(places, sealed)) if places else []


def _pieces(heads: Iterator[seals.Head]) -> Iterator[list[seals.Head]]:
    while piece := list(islice(heads, 5000)):
        yield piece


def _not_as_signed(heads: list[seals.Head]) -> list[tuple[str, int, bool]]:
    """Return the places that now hold another event, or none: chain, seq, and whether the event is missing."""
    chains, seqs, hashes = zip(*heads, strict=True)
    with connection.cursor() as cursor:
        # The subquery makes the planner look each place up in the index, however large it believes the table to be.
        cursor.execute(
            "SELECT chain, seq, stored IS NULL FROM (SELECT signed.*, (SELECT event.hash FROM history_event AS event"
            " WHERE event.chain = signed.chain AND event.seq = signed.seq) AS stored"
            " FROM unnest(%s::text[], %s::bigint[], %s::text[]) AS signed(chain, seq, hash)) AS compared"
            " WHERE stored IS DISTINCT FROM hash",
            [list(chains), list(seqs), list(hashes)],
        )
        found: list[tuple[str, int, bool]] = cursor.fetchall()
    return found


def _missing(written: dict[str, str], names: list[str], sealed: dict[str, seals.Sealed]) -> Iterator[tuple[str, str]]:
    """Yield the files that are missing or replaced. The database knows each file, and so does the file after it."""
    for signature, name in written.items():
        if name not in names:
            yield name, "it was written and is not there any more"
        elif name in sealed and sealed[name].signature != signature:
            yield name, "another file was put in its place"
    known = {"", *written, *(one.signature for one in sealed.values())}
    for name, one in sealed.items():
        if one.previous not in known:
            yield name, "the file before it is not there any more"


def _first_rewritten(places: dict[str, _Place], sealed: Iterable[str]) -> Iterator[tuple[int, Broken]]:
    """Yield for each chain the earliest event that may have been rewritten: the one after the last place that fits."""
    as_signed: dict[str, int] = {}
    for name in sealed:
        with storages["default"].open(name) as file:
            for head in seals.heads(file):
                if head.chain in places and head.seq < places[head.chain].seq:
                    as_signed[head.chain] = max(as_signed.get(head.chain, 0), head.seq)
    last = dict(Event.objects.filter(chain__in=places).values_list("chain").annotate(Max("seq")))
    for chain, place in places.items():
        first, newest, when = as_signed.get(chain, 0) + 1, last.get(chain, 0), f"{place.at:%Y-%m-%d %H:%M} UTC"
        if place.missing and newest < place.seq:
            one = Broken(chain, newest + 1, f"it is missing, and event {place.seq} was signed at {when}")
        elif place.missing:
            one = Broken(chain, place.seq, f"it is missing, and was signed at {when}")
        elif first == place.seq:
            one = Broken(chain, first, f"it is not the one that was signed at {when}")
        else:
            one = Broken(
                chain, first, f"it or one up to {place.seq} was rewritten after {place.seq} was signed at {when}"
            )
        yield place.seq, one
