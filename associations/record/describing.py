"""What events say of the whole state of associations: a fingerprint of each, under `fingerprints` in their payload.

The newest event with a fingerprint of an association describes it. checking.py finds those that differ from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, TypedDict

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.record.models import Association
from por.accounts.models import SYSTEM
from por.directory.models import Customer
from por.history.actions import recording as history
from por.history.events import EventType, Link, event_group, register


class DescribedEvent(EventType):
    DESCRIBED = "association.described"


class Described(TypedDict):
    """The fingerprints of associations as they were after one place of the customer's chain."""

    fingerprints: dict[str, str]
    after: int


register(
    DescribedEvent.DESCRIBED,
    payload=Described,
    about=("customer",),
    here=_("The state of the associations was noted for verification"),
    elsewhere=_("The state of the associations of {object} was noted for verification"),
    icon="shield",
    tone="",
    groups=(event_group("verification", _("For verification")),),
    link=Link("customer"),
    mails=(),
)

#: The most associations that one event describes, and the most customers in one transaction.
MOST, CUSTOMERS = 1000, 1000
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

#: The fingerprint of an association in SQL; fingerprint_of is the same. It covers every column: numbers and instants
#: first, then each text after its length, so that no two states have one text; then what only some associations have.
#: Events keep it, so it never changes.
_HASHED = "left(encode(sha256(convert_to(concat({}), 'UTF8')), 'hex'), 32)"
_RECORD = """
    one.id, '|', one.customer_id, '|', one.subscription_id, '|', one.partner_id,
    '|', (extract(epoch FROM one.began_at) * 1000000)::bigint,
    '|', (extract(epoch FROM one.ended_at) * 1000000)::bigint,
    '|', (extract(epoch FROM one.attached_at) * 1000000)::bigint,
    '|', (extract(epoch FROM one.undone_at) * 1000000)::bigint,
    '|', (extract(epoch FROM one.reopened_at) * 1000000)::bigint,
    '|', char_length(one.kind), ':', one.kind, '|', char_length(one.source), ':', one.source,
    '|', char_length(one.end_reason), ':', one.end_reason, '|', char_length(one.note), ':', one.note,
    '|', char_length(one.end_note), ':', one.end_note"""
_HAS_KEPT = """
    num_nonnulls(one.seats_at_end, one.renews_on_at_end, one.version_at_end) > 0 OR one.status_at_end <> ''"""
_SOMETIMES = f"""
    CASE WHEN one.ends_on IS NOT NULL OR one.end_inferred
        THEN concat('|end|', one.ends_on - DATE '1970-01-01', '|', one.end_inferred::integer) END,
    CASE WHEN {_HAS_KEPT}
        THEN concat('|kept|', one.seats_at_end, '|', one.status_at_end, '|', one.renews_on_at_end - DATE '1970-01-01',
            '|', one.version_at_end) END"""
_CLAIMED = """
    CASE WHEN concat(one.program, one.role, one.workload, one.claim_number) <> ''
        THEN concat('|claimed|', char_length(one.program), ':', one.program, '|', char_length(one.role), ':', one.role,
            '|', char_length(one.workload), ':', one.workload,
            '|', char_length(one.claim_number), ':', one.claim_number) END"""
FINGERPRINT = _HASHED.format(f"{_RECORD}, {_SOMETIMES}, {_CLAIMED}")
#: The same for associations without a claim. A migration runs before there are columns for claims.
BEFORE_CLAIMS = _HASHED.format(f"{_RECORD}, {_SOMETIMES}")


def fingerprint_of(one: Association) -> str:
    """Return the fingerprint of an association, as FINGERPRINT does for its row."""
    numbers = (one.pk, one.customer_id, one.subscription_id, one.partner_id)
    used = (one.began_at, one.ended_at, one.attached_at, one.undone_at, one.reopened_at)
    instants = (None if instant is None else (instant - EPOCH) // MICROSECOND for instant in used)
    texts = (one.kind, one.source, one.end_reason, one.note, one.end_note)
    parts = [*map(_text, (*numbers, *instants)), *(f"{len(text)}:{text}" for text in texts)]
    if one.ends_on is not None or one.end_inferred:
        parts += ["end", _text(_days(one.ends_on)), str(int(one.end_inferred))]
    kept = (one.seats_at_end, one.status_at_end or None, _days(one.renews_on_at_end), one.version_at_end)
    if any(value is not None for value in kept):
        parts += ["kept", *map(_text, kept)]
    claimed = (one.program, one.role, one.workload, one.claim_number)
    if any(claimed):
        parts += ["claimed", *(f"{len(text)}:{text}" for text in claimed)]
    return sha256("|".join(parts).encode()).hexdigest()[:32]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _days(day: date | None) -> int | None:
    return None if day is None else (day - EPOCH.date()).days


def fingerprints_of(*associations: Association) -> dict[str, str]:
    """Return the fingerprints of associations by their keys, for the payload of the event that has changed them."""
    return {str(one.pk): fingerprint_of(one) for one in associations}


def describe(association_ids: Sequence[int], *, in_request: bool = False) -> None:
    """Record, in the chains of their customers, the state of these associations as it is now."""
    for start in range(0, len(association_ids), MOST):
        events = drafts(association_ids[start : start + MOST])
        history.record_each(by=SYSTEM, at=timezone.now(), events=events, in_request=in_request)


def drafts(association_ids: Sequence[int]) -> list[history.EventDraft]:
    """Return the events that describe these associations as they are now."""
    return _drafts("one.id = ANY(%(ids)s)", ids=list(association_ids))


def describe_new(customer_ids: Sequence[int], fingerprint: str = FINGERPRINT) -> None:
    """Record the state of those associations of these customers that no event describes.

    An association that an event describes is left alone: what was changed past its verb stays in sight.
    """
    chains = [f"organisation:{pk}" for pk in customer_ids]
    events = _drafts(_NEW, fingerprint, customers=list(customer_ids), chains=chains)
    history.record_each(by=SYSTEM, at=timezone.now(), events=events)


def describe_all() -> None:
    """Record, for the migration, the state of all associations that no event describes, some customers at a time."""
    last = 0
    while found := list(Customer.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CUSTOMERS]):
        with transaction.atomic():
            describe_new(found, BEFORE_CLAIMS)
        last = found[-1]


def describe_what_was_kept() -> None:
    """Describe again, for the migration, what was described before fingerprints covered what is kept at an end."""
    last = 0
    while found := list(Customer.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CUSTOMERS]):
        chains = [f"organisation:{pk}" for pk in found]
        with transaction.atomic():
            events = _drafts(_WITHOUT_WHAT_WAS_KEPT, BEFORE_CLAIMS, customers=found, chains=chains)
            history.record_each(by=SYSTEM, at=timezone.now(), events=events)
        last = found[-1]


def _drafts(which: str, fingerprint: str = FINGERPRINT, **given: Any) -> list[history.EventDraft]:
    with connection.cursor() as cursor:
        cursor.execute(_STATE.format(which=which, fingerprint=fingerprint), {**given, "most": MOST})
        return [
            history.EventDraft(
                customer,
                {"fingerprints": json.loads(fingerprints), "after": after},
                history.ObjectRef("customer", str(tenant_id), name),
                verb=DescribedEvent.DESCRIBED,
            )
            for customer, tenant_id, name, after, fingerprints in cursor.fetchall()
        ]


# One statement sees the rows and the heads of the same moment. A verb may commit before these events get their places:
# its event comes after `after`, so what it says prevails.
_STATE = """
WITH described AS (
    SELECT one.customer_id, one.id, {fingerprint} AS fingerprint,
        (row_number() OVER (PARTITION BY one.customer_id ORDER BY one.id) - 1) / %(most)s AS part
    FROM associations_association AS one WHERE {which}
)
SELECT customer_id, customer.tenant_id, organisation.name, coalesce(head.seq, 0),
    jsonb_object_agg(described.id, fingerprint)::text
FROM described
JOIN directory_customer AS customer ON customer.organisation_id = customer_id
JOIN accounts_organisation AS organisation ON organisation.id = customer_id
LEFT JOIN history_chainhead AS head ON head.chain = 'organisation:' || customer_id
GROUP BY customer_id, part, customer.tenant_id, organisation.name, head.seq
ORDER BY customer_id, part
"""

#: SQL: what each event of some chains says of an association: `said`, from the place `position` of its chain on. An
#: attacker's payload may hold anything, and must neither stop the check nor say something of later events.
SAID = """
    SELECT event.chain, event.seq, said.key AS id, said.value AS fingerprint,
        least(event.seq, CASE jsonb_typeof(event.changes -> 'after') WHEN 'number'
            THEN (event.changes -> 'after')::numeric END) AS position
    FROM history_event AS event CROSS JOIN LATERAL jsonb_each_text(
        CASE jsonb_typeof(event.changes -> 'fingerprints') WHEN 'object' THEN event.changes -> 'fingerprints' END
    ) AS said
    WHERE event.chain = ANY(ARRAY(SELECT unnest(%(chains)s)))
"""
# The keys are put together first: just after a load, PostgreSQL might plan a search of all events for each association.
_NEW = f"""
    one.id = ANY(ARRAY(
        SELECT id::bigint FROM (
            SELECT 'organisation:' || customer_id AS chain, id::text FROM associations_association
            WHERE customer_id = ANY(%(customers)s)
            EXCEPT SELECT chain, id FROM ({SAID}) AS said
        ) AS new
    ))
"""
# An association whose record is not as its newest event says was changed past its verb, and stays in sight.
_WITHOUT_WHAT_WAS_KEPT = f"""
    one.id = ANY(ARRAY(
        SELECT one.id FROM associations_association AS one
        JOIN (
            SELECT DISTINCT ON (chain, id) * FROM ({SAID}) AS said ORDER BY chain, id, position DESC, seq DESC
        ) AS newest ON newest.chain = 'organisation:' || one.customer_id AND newest.id = one.id::text
        WHERE one.customer_id = ANY(%(customers)s) AND ({_HAS_KEPT}) AND newest.fingerprint = {_HASHED.format(_RECORD)}
    ))
"""
