"""Every stored event has words for every reader, in both languages, and the filters find it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from associations.record import timeline
from por.accounts.models import SYSTEM, Actor
from por.accounts.rules import Right
from por.history import events
from por.history.actions import recording as history
from por.history.events import EventSpec, registered
from por.history.models import Event
from por.notifications.messages import inbox_text
from por.portal.forms import EventFilter, HistoryFilter
from tests.factories import make_customer, make_member, make_partner, make_staff

ROOT = Path(__file__).parents[3]
PARTNER = {"mpn_id": "4471902", "name": "Nordvik Cloud AB"}
REVIEWER = {"user": 4, "name": "Robin Falk"}
ASSOCIATION = {
    "association": 7,
    "partner": PARTNER,
    "source": "customer",
    "began_at": "2026-03-01T09:30:00+00:00",
    "ended_at": None,
    "fingerprints": {"7": "3f0c5a0c0a8f6f5e9bdd2b0d7b3dcb6d"},
}
REOPENED = {
    **ASSOCIATION,
    "ended_at_before": "2026-04-01T09:30:00+00:00",
    "end_reason_before": "subscription_expired",
}
REQUEST = {"change_request": 3, "partner": PARTNER}
REPLACED = {"partner": PARTNER, "replaces": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21"}
LOAD = {"dry_run": False, "created": 1, "changed": 0, "unchanged": 4, "failed": 0, "ended": 0, "reopened": 0}
CHANGE = {"name": "Nordvik Cloud AB", "before": "Nordvik AB", "now": "Nordvik Cloud AB"}
CLAIM = {
    "claim": 7,
    "number": "CPR-0000007",
    "program": "osu_m365",
    "role": "usage",
    "partner": PARTNER,
    "units": [{"workload": "exo"}, {"subscription": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21", "name": "Dynamics 365"}],
}
APPROVED = {**CLAIM, "approved_at": "2020-03-02T00:00:00+00:00", "consent_due_at": None}
CONFLICT = {"conflict": 4, "program": "osu_m365", "role": "usage", "unit": {"workload": "exo"}, "sides": 2}
CHANGED = {"seats": [420, 400], "status": ["active", "grace"], "agreement": ["EA", "CSP"]}
PROVED = {
    "claim": 5,
    "number": "CPR-0000005",
    "program": "osu_m365",
    "role": "usage",
    "partner": PARTNER,
    "units": [{"workload": "exo"}],
}

#: A payload of each verb as it is recorded now.
MOVED = {**ASSOCIATION, "former": PARTNER, "to": PARTNER, "former_association": 6}
LEVEL = {"program": "competency.smcs", "level": "silver", "before": "none", "rule_version": "smcs-2015"}
OVERRIDE = {"override": 7, "program": "competency.smcs", "level": "silver", "begins_on": "2018-03-05"}
NOW: dict[str, dict[str, Any]] = {
    "override.asked": OVERRIDE | {"begins_on": None},
    "override.given": OVERRIDE | {"until": "2018-06-05"},
    "override.declined": OVERRIDE,
    "override.withdrawn": OVERRIDE,
    "override.ended": OVERRIDE | {"until": "2018-06-05", "ended_on": "2018-04-01"},
    "competency.reached": LEVEL,
    "competency.at_risk": {
        "program": "competency.smcs",
        "level": "silver",
        "anniversary_on": "2016-09-14",
        "rule_version": "smcs-2015",
    },
    "competency.lost": LEVEL | {"level": "none", "before": "silver"},
    "partner_of_record.attached": ASSOCIATION,
    "partner_of_record.removed": {**ASSOCIATION, "end_reason": "removed"},
    "partner_of_record.resigned": {**ASSOCIATION, "end_reason": "resigned"},
    "partner_of_record.attach_undone": ASSOCIATION,
    "partner_of_record.removal_undone": ASSOCIATION,
    "partner_of_record.moved": MOVED,
    "partner_of_record.move_undone": MOVED,
    "partner_of_record.moved_together": {"former": PARTNER, "to": PARTNER, "subscriptions": 12},
    "partner_of_record.location_moved": {"former": PARTNER, "to": PARTNER, "subscriptions": 12, "customers": 3},
    "partner_of_record.dated_back": {**ASSOCIATION, "began_at_before": "2026-04-01T09:30:00+00:00"},
    "partner_of_record.dated_forward": {**ASSOCIATION, "began_at_before": "2026-04-01T09:30:00+00:00"},
    "partner_of_record.dating_undone": {**ASSOCIATION, "began_at_before": "2026-04-01T09:30:00+00:00"},
    "partner_of_record.ended": {**ASSOCIATION, "end_reason": "subscription_expired"},
    "partner_of_record.reopened": REOPENED,
    "association.begun": {**ASSOCIATION, "source": "estate"},
    "partner_of_record.redated": {**ASSOCIATION, "began_at_before": "2026-04-01T00:00:00+00:00"},
    "association.redated": {**ASSOCIATION, "began_at_before": "2026-02-01T00:00:00+00:00"},
    "partner_of_record.carried_over": {
        **{**REPLACED, "association": 7, "began_at": "2026-03-01T00:00:00+00:00"},
        "fingerprints": ASSOCIATION["fingerprints"],
    },
    "association.described": {"fingerprints": ASSOCIATION["fingerprints"], "after": 12},
    "organisation.time_zone_changed": {"time_zone": "America/New_York", "time_zone_before": "Europe/Stockholm"},
    "association.ended": {**ASSOCIATION, "end_reason": "partner_closed"},
    "delegated_admin.begun": {**ASSOCIATION, "source": "invitation"},
    "delegated_admin.ended": {**ASSOCIATION, "ended_at": "2026-03-05T10:00:00+00:00", "end_reason": "removed"},
    "association.reopened": REOPENED,
    "change_request.opened": REQUEST,
    "change_request.joined": REQUEST,
    "change_request.noted": REQUEST,
    "change_request.stated": REQUEST,
    "change_request.forwarded": {"change_request": 3, "to": {"user": 4, "name": "Elin Sandberg"}},
    "change_request.reminded": {"change_request": 3, "number": 1},
    "change_request.answered": {**REQUEST, "fingerprints": {}},
    "change_request.answer_undone": {**REQUEST, "fingerprints": {}},
    "change_request.switched": {**REQUEST, "former": PARTNER, "fingerprints": {}},
    "change_request.switch_undone": {**REQUEST, "former": PARTNER, "fingerprints": {}},
    "change_request.reopened": {"change_request": 3},
    "change_request.expired": {"change_request": 3},
    "change_request.cancelled": {"change_request": 3, "why": "removed"},
    "invitation.sent": {"partner": PARTNER, "delegated_admin": True},
    "invitation.opened": {"partner": PARTNER},
    "invitation.accepted": {
        "partner": PARTNER,
        "outcomes": {"0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21": "attached"},
        "delegated_admin": "accepted",
    },
    "invitation.declined": {"partner": PARTNER},
    "invitation.reported": {"partner": PARTNER},
    "invitation.revoked": {"partner": PARTNER},
    "invitation.expired": {"partner": PARTNER},
    "subscription.changed": {"partner": PARTNER, "subscription": {**CHANGED, "renews_on": [None, "2027-01-01"]}},
    "subscription.renewal_due": {"partner": PARTNER, "renews_on": "2027-01-01", "days": 30},
    "subscription.replaced": REPLACED,
    "transition.reminded": {
        "deadline": "2015-12-31",
        "reminder": 60,
        "subscriptions": 2,
        "customers": 1,
        "seats": None,
    },
    "claim.commented": {**CLAIM, "comment": 4},
    "claim.noted": {**CLAIM, "comment": 4},
    "claim.assigned": {"claim": 5, "partner": PARTNER, "to": {"user": 4, "name": "Robin Falk"}},
    "interest.marked": {"interested_in": {"number": "4471902", "name": "Nordvik Cloud AB"}, "reviewer": REVIEWER},
    "interest.removed": {"interested_in": {"number": "4471902", "name": "Nordvik Cloud AB"}, "reviewer": REVIEWER},
    "claim.submitted": {**CLAIM, "again": False},
    "claim.changed": {**CLAIM, "fields": ["name", "units"]},
    "claim.withdrawn": CLAIM,
    "claim.review_started": CLAIM,
    "claim.asked": {**CLAIM, "due_at": "2026-04-01T22:00:00+00:00"},
    "claim.approved": {**CLAIM, "consent_due_at": None, "fingerprints": ASSOCIATION["fingerprints"]},
    "claim.other_approved": {"program": "osu_m365", "units": CLAIM["units"]},
    "claim.rejected": {**CLAIM, "final": False, "due_at": "2026-04-01T22:00:00+00:00"},
    "claim.declined": {**CLAIM, "struck": True, "fingerprints": ASSOCIATION["fingerprints"]},
    "claim.consent_lapsed": CLAIM,
    "claim.ended": {**CLAIM, "end_reason": "disassociated", "fingerprints": ASSOCIATION["fingerprints"]},
    "claim.unit_ended": {**CLAIM, "end_reason": "subscription_expired"},
    "claim.unit_lost": {**CLAIM, "fingerprints": {}},
    "claim.dropped": {**CLAIM, "end_reason": "partner_closed"},
    "claim.goes_on": CLAIM,
    "claim.disputed": CLAIM,
    "claim.dispute_lapsed": CLAIM,
    "claim.reminded": {**CLAIM, "due_at": "2026-04-01T22:00:00+00:00", "reminder": 1},
    "claim.renewal_due": {**CLAIM, "renews_on": "2027-01-01", "days": 30},
    "conflict.opened": {**CONFLICT, "partner": PARTNER},
    "conflict.joined": {**CONFLICT, "partner": PARTNER},
    "conflict.proof_asked": {**CONFLICT, "partner": PARTNER, "due_at": "2026-04-01T22:00:00+00:00"},
    "conflict.customer_asked": CONFLICT,
    "conflict.answered": {**CONFLICT, "partner": PARTNER},
    "conflict.decided": {**CONFLICT, "partner": PARTNER, "holder": PARTNER, "waits": False},
    "conflict.closed": {**CONFLICT, "partner": PARTNER},
    "conflict.lapsed": {**CONFLICT, "partner": PARTNER},
    "bulk.requested": {"rows": 900, "dry_run": True, "action": "remove"},
    "delivery.replayed": {"event": 5, "status": "dead", "attempts": 12},
    "outbox.replayed": {"verb": "invitation.sent", "attempts": 12, "dead_at": "2026-03-01T09:30:00+00:00"},
    "member.added": {"role": "support"},
    "member.added_by_command": {"role": "programme_administrator"},
    "member.role_changed": {"role": "support", "role_before": "auditor"},
    "member.removed": {"role": "support"},
    "member.added_by_file": {"role": "administrator"},
    "member.removed_by_file": {"role": "administrator"},
    "subscription.moved_away": {},
    "subscription.moved_in": {"partner": {"mpn_id": "4471902", "name": "Nordvik Cloud AB"}},
    "subscription.moved_back": {},
    "organisation.renamed": CHANGE,
    "organisation.parent_changed": CHANGE,
    "organisation.became_location": CHANGE,
    "organisation.became_global": CHANGE,
    "organisation.contact_changed": {"name": "Nordvik Cloud AB"},
    "organisation.tenant_changed": CHANGE,
    "organisation.enrolment_changed": {
        "name": "Nordvik Cloud AB",
        "program": "incentive.osu_m365",
        "days": {"bank_ok_on": [None, "2026-03-01"], "tax_ok_on": ["2026-01-01", None]},
    },
    "person.suspended": {},
    "person.reactivated": {},
    "claim.imported": APPROVED,
    "migrated_claims.reminded": {"deadline": "2020-06-30", "reminder": 30, "claims": 3, "customers": 2},
    "claim.corrected": {**APPROVED, "fields": ["name"], "approved_at_before": "2020-03-01T00:00:00+00:00"},
    "estate.loaded": {"file": "usage.csv", "created": 4, "changed": 1},
    "estate.load_requested": {"dry_run": True, "files": {"usage.csv": 1200}},
    "estate.load_cancelled": {},
    "estate.load_ended": LOAD,
    "estate.load_failed": {"dry_run": False, "failure": "defect"},
    "estate.mapping_kept": {"files": ["usage.csv"], "sha256": "3f0c5a0c"},
    "estate.mapping_changed": {"files": ["usage.csv"], "sha256": "3f0c5a0d"},
    "estate.mapping_removed": {"files": ["usage.csv"], "sha256": "3f0c5a0d"},
    "proof.uploaded": {**PROVED, "proofs": [1, 2]},
    "proof.infected": {**PROVED, "proof": 1},
    "proof.scan_failed": {**PROVED, "proof": 1},
    "proof.opened": {"claim": 5, "proof": 1},
}
#: Payloads of other shapes that are or were recorded too.
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("partner_of_record.attached", {key: ASSOCIATION[key] for key in ASSOCIATION if key != "fingerprints"}),
    ("change_request.answered", REQUEST),
    ("partner_of_record.attached", {**ASSOCIATION, "association": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"}),
    ("partner_of_record.removed", ASSOCIATION),
    ("partner_of_record.ended", ASSOCIATION),
    ("association.ended", ASSOCIATION),
    ("invitation.sent", {"partner": PARTNER}),
    ("invitation.accepted", {"partner": PARTNER, "outcomes": {"0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21": "attached"}}),
    ("partner_of_record.reopened", {**REOPENED, "end_reason_before": "file"}),
    ("estate.load_ended", {key: value for key, value in LOAD.items() if key != "reopened"}),
    ("partner_of_record.carried_over", {**REPLACED, "association": "9b1deb4d", "began_at": "2026-03-01T00:00:00Z"}),
    ("partner_of_record.attached", {**ASSOCIATION, "source": "estate"}),
    (
        "partner_of_record.redated",
        {
            **ASSOCIATION,
            "ended_at_before": "2026-04-01T00:00:00+00:00",
            "ends_on_before": None,
            "ends_on": "2027-01-01",
        },
    ),
    (
        "subscription.changed",
        {
            "subscription": {
                "sku": [None, "EMS"],
                "product": ["office365", "ems"],
                "is_trial": [False, True],
                "replaces": [None, "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"],
                "missing_since": ["2026-03-31", None],
            }
        },
    ),
    ("claim.asked", {**CLAIM, "due_at": None}),
    ("conflict.proof_asked", {**CONFLICT, "partner": PARTNER, "due_at": None}),
    ("conflict.answered", {**CONFLICT, "partner": None}),
    ("conflict.decided", {**CONFLICT, "partner": None, "holder": None, "waits": False}),
    ("conflict.decided", {**CONFLICT, "partner": PARTNER, "holder": None, "waits": True}),
    ("claim.rejected", {**CLAIM, "final": True, "due_at": None}),
    ("organisation.parent_changed", {**CHANGE, "now": ""}),
    ("subscription.moved_in", {}),
    ("organisation.became_location", {**CHANGE, "now": ""}),
    ("organisation.became_global", {**CHANGE, "before": ""}),
    ("organisation.parent_changed", {**CHANGE, "before": ""}),
    ("change_request.answered", {"change_request": 3}),
    ("change_request.answer_undone", {"change_request": 3}),
    ("change_request.cancelled", {"change_request": 3}),
    ("estate.loaded", {"created": 4, "changed": 1}),
    ("transition.reminded", {"deadline": "2015-12-31", "reminder": 7, "subscriptions": 1, "customers": 1, "seats": 9}),
]
OBJECT = "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21"
SPECS = [spec for spec in registered() if not spec.name.startswith("thing.")]


def stored(verb: str, changes: dict[str, Any], kind: str) -> Event:
    return Event(
        id=1,
        verb=verb,
        changes=changes,
        object_kind=kind,
        object_id=object_id(kind),
        object_name="Office 365 E3",
        at=timezone.now(),
    )


def object_id(kind: str) -> str:
    if kind in {"claim", "conflict"}:
        return "8"  # a page of the history has the events of all others with one ID
    return OBJECT if kind in {"subscription", "invitation", "customer"} else "7"


def every_stored_shape() -> list[tuple[EventSpec, dict[str, Any]]]:
    return [(events.spec_of(verb), changes) for verb, changes in [*NOW.items(), *OTHERS]]  # type: ignore[misc]


def test_samples_cover_every_event_as_it_is_recorded_now():
    assert sorted(NOW) == [spec.name for spec in SPECS]
    for verb, changes in NOW.items():
        events.check_payload(verb, changes)


@pytest.fixture
def readers() -> list[Actor]:
    return [make_member(make_customer().organisation), make_member(make_partner().organisation), make_staff("support")]


@pytest.mark.django_db
@pytest.mark.parametrize("here", [True, False])
def test_every_stored_event_has_words_for_every_reader_in_both_languages(readers, here, caplog):
    for spec, changes in every_stored_shape():
        for reader in readers:
            event = stored(spec.name, changes, spec.about[0])
            read = {}
            for language in ("en", "sv"):
                with translation.override(language):
                    (item,) = timeline.items(reader, [event], here=here)
                read[language] = item.sentence
                assert not re.search(r"[{}]|%\(", item.sentence), (spec.name, language)
                assert spec.name not in item.sentence
                assert "None" not in item.reason, (spec.name, item.reason)
            assert read["en"] != read["sv"], spec.name
    assert caplog.text == ""


def test_every_stored_inbox_line_has_words_in_both_languages():
    for spec, changes in every_stored_shape():
        for mail in spec.mails:
            if mail.inbox is None:  # type: ignore[attr-defined]
                continue
            event = stored(spec.name, changes, spec.about[0])
            read = {}
            for language in ("en", "sv"):
                with translation.override(language):
                    read[language] = inbox_text(mail.name, event).sentence
                assert not re.search(r"[{}]|%\(|None", read[language]), (mail.name, language)
            assert read["en"] != read["sv"], mail.name


def test_every_text_of_an_event_is_translated():
    assert events.untranslated("sv") == []
    assert events.untranslated("en") != []


@pytest.mark.django_db
def test_event_of_another_release_is_shown_by_its_verb_and_logged(readers, caplog):
    for reader in readers:
        (item,) = timeline.items(reader, [stored("thing.of_another_release", {}, "thing")])
        assert "Office 365 E3" in item.sentence
        assert "thing.of_another_release" in item.sentence
    assert caplog.text.count("does not know thing.of_another_release") == len(readers)


@pytest.mark.django_db
def test_end_by_expiry_shows_the_reason(readers):
    event = stored("partner_of_record.ended", NOW["partner_of_record.ended"], "subscription")
    for language, sentence, why in (
        ("en", "<b>Nordvik Cloud AB</b> is no longer the partner of record", "The subscription expired"),
        ("sv", "<b>Nordvik Cloud AB</b> är inte längre partner of record", "Prenumerationen löpte ut"),
    ):
        with translation.override(language):
            (item,) = timeline.items(readers[0], [event], here=True)
        assert (item.sentence, item.reason) == (sentence, why)


@pytest.fixture
def one_of_each(db: None) -> dict[tuple[str, str], int]:
    """Record one of each event for each kind of object it may be about; return their ids."""
    return {
        (spec.name, kind): history.record(
            spec.name,
            history.ObjectRef(kind, object_id(kind), "A name"),
            by=SYSTEM,
            at=timezone.now(),
            chain=None,
            changes=NOW[spec.name],
        )
        for spec in SPECS
        for kind in spec.about
    }


def test_every_event_is_in_a_filter_for_staff_and_for_its_other_readers(one_of_each):
    staff = make_staff("support")
    found: dict[type, set[int]] = {EventFilter: set(), HistoryFilter: set()}
    for form, ids in found.items():
        for key, _label in form().fields["what"].choices:  # type: ignore[attr-defined]
            filtered = form({"what": key} if key else {"what": "attached"})
            assert filtered.is_valid()
            ids |= set(filtered.apply(Event.objects.all(), staff).values_list("pk", flat=True))
    assert found[EventFilter] >= set(one_of_each.values())
    internal = {
        pk
        for (name, _kind), pk in one_of_each.items()
        if name.partition(".")[0] in {"member", "person", "interest"}
        and not name.endswith("_by_file")
        or name in {"claim.assigned", "proof.opened"}
    }
    again = {pk for (name, _kind), pk in one_of_each.items() if name.endswith(".replayed")}
    assert set(one_of_each.values()) - found[HistoryFilter] == internal | again


def test_staff_find_exactly_the_events_of_each_kind_of_object(one_of_each, client):
    client.force_login(make_staff("support").user)
    assert {kind for _name, kind in one_of_each} | {"thing"} == set(events.object_kinds())
    detail = {pk: reverse("portal:event", args=[pk]) for pk in one_of_each.values()}
    for kind, pk in {kind: pk for (_name, kind), pk in one_of_each.items()}.items():
        link = f"{reverse('portal:events')}?object={kind}:{object_id(kind)}"
        assert link in client.get(detail[pk]).text
        page = client.get(link).text
        of_the_object = {one for (_name, its_kind), one in one_of_each.items() if its_kind == kind}
        assert {one for one, url in detail.items() if f'"{url}"' in page} == of_the_object, kind
        assert f'"{detail[pk]}"' in client.get(link.replace(f"{kind}:", "")).text


def test_every_link_of_an_event_leads_to_a_page():
    for spec in SPECS:
        for page in filter(None, (spec.link.customer, spec.link.partner, spec.link.staff)):
            assert reverse(page, args=[3 if spec.link.key else object_id(spec.link.kind)])


#: Modules that declare or record events.
WRITERS = [
    path
    for room in ("por", "associations", "competencies")
    for path in sorted((ROOT / room).rglob("*.py"))
    if "migrations" not in path.parts
    and (
        {"actions", "actions.py", "events", "record", "imports", "imports.py"} & {*path.relative_to(ROOT).parts}
        or path.name.endswith("events.py")
    )
]


def test_every_verb_in_the_source_is_registered():
    """Verbs are literals or members of an enum; a member is registered, or no process starts."""
    nouns = "|".join(sorted({spec.name.partition(".")[0] for spec in SPECS}))
    literals = {
        node.value
        for path in WRITERS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(rf"(?:{nouns})\.[a-z_]+", node.value)
    }
    verbs = {spec.name for spec in SPECS}
    assert literals - set(Right) - verbs == set()
    assert verbs <= literals  # so that the pattern and the modules cover them all
