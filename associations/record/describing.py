"""What events say of the whole state of associations: a fingerprint of each, under `fingerprints` in their payload.

The newest event with a fingerprint of an association describes it. checking.py finds those that differ from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from associations.record.events import DescribedEvent
from associations.record.models import Association
from por.accounts.models import SYSTEM
from por.directory.models import Customer
from por.history.actions import recording as history

#: The most associations that one event describes, and the most customers in one transaction.
MOST, CUSTOMERS = 1000, 1000
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

#: The fingerprint of an association in SQL; fingerprint_of is the same. It covers every column of the record: numbers
#: and instants first, then each text after its length, so that no two states have one text. Events keep it, so it never
#: changes.
FINGERPRINT = """left(encode(sha256(convert_to(concat(
    one.id, '|', one.customer_id, '|', one.subscription_id, '|', one.partner_id,
    '|', (extract(epoch FROM one.began_at) * 1000000)::bigint,
    '|', (extract(epoch FROM one.ended_at) * 1000000)::bigint,
    '|', (extract(epoch FROM one.attached_at) * 1000000)::bigint,
    '|', (extract(epoch FROM one.undone_at) * 1000000)::bigint,
    '|', (extract(epoch FROM one.reopened_at) * 1000000)::bigint,
    '|', char_length(one.kind), ':', one.kind, '|', char_length(one.source), ':', one.source,
    '|', char_length(one.end_reason), ':', one.end_reason, '|', char_length(one.note), ':', one.note,
    '|', char_length(one.end_note), ':', one.end_note), 'UTF8')), 'hex'), 32)"""


def fingerprint_of(one: Association) -> str:
    """Return the fingerprint of an association, as FINGERPRINT does for its row."""
    numbers = (one.pk, one.customer_id, one.subscription_id, one.partner_id)
    instants = (None if instant is None else (instant - EPOCH) // MICROSECOND for instant in one.instants)
    texts = (one.kind, one.source, one.end_reason, one.note, one.end_note)
    parts = ["" if number is None else str(number) for number in (*numbers, *instants)]
    parts += [f"{len(text)}:{text}" for text in texts]
    return sha256("|".join(parts).encode()).hexdigest()[:32]


def fingerprints_of(*associations: Association) -> dict[str, str]:
    """Return the fingerprints of associations by their keys, for the payload of the event that has changed them."""
    return {str(one.pk): fingerprint_of(one) for one in associations}


def describe(association_ids: list[int], *, in_request: bool = False) -> None:
    """Record, in the chains of their customers, the state of these associations as it is now."""
    for start in range(0, len(association_ids), MOST):
        _record("one.id = ANY(%(ids)s)", in_request=in_request, ids=association_ids[start : start + MOST])


def describe_new(customer_ids: Sequence[int]) -> None:
    """Record the state of those associations of these customers that no event describes.

    An association that an event describes is left alone: what was changed past its verb stays in sight.
    """
    _record(_NEW, customers=list(customer_ids), chains=[f"organisation:{pk}" for pk in customer_ids])


def describe_all() -> None:
    """Record the state of every association that no event describes, some customers in each transaction."""
    last = 0
    while found := list(Customer.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CUSTOMERS]):
        with transaction.atomic():
            describe_new(found)
        last = found[-1]


def _record(which: str, *, in_request: bool = False, **given: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_STATE.format(which=which), {**given, "most": MOST})
        events = [
            history.EventDraft(
                customer,
                {"fingerprints": json.loads(fingerprints), "after": after},
                history.ObjectRef("customer", str(tenant_id), name),
            )
            for customer, tenant_id, name, after, fingerprints in cursor.fetchall()
        ]
    if events:
        history.record_each(
            DescribedEvent.DESCRIBED, by=SYSTEM, at=timezone.now(), events=events, in_request=in_request
        )


# One statement sees the rows and the heads of the same moment. A verb may commit before these events get their places:
# its event comes after `after`, so what it says prevails.
_STATE = f"""
WITH described AS (
    SELECT one.customer_id, one.id, {FINGERPRINT} AS fingerprint,
        (row_number() OVER (PARTITION BY one.customer_id ORDER BY one.id) - 1) / %(most)s AS part
    FROM associations_association AS one WHERE {{which}}
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
