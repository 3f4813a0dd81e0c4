"""Each verb while someone else acts at the worst moment: it has one right answer, and the record stays exact.

There are two moments. In `before`, the rival commits between the caller's reads and its lock. In `holding`, the rival
holds the lock, and commits while the caller waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from associations import tasks
from associations.attaching.actions import attach as attaching
from associations.attaching.actions import ending, moving, undo
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.record.models import Association
from por.accounts import actions as accounts
from por.accounts.models import Membership
from por.directory.models import Partner, Subscription
from por.history.actions.verifying import verify
from por.history.models import Event, Outbox
from tests import estates
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.record import most_partners, overlaps
from tests.rivals import before_the_lock, before_the_write_without_a_lock, holding_the_lock

pytestmark = pytest.mark.usefixtures("committed")

MOMENTS: dict[str, Callable[[Callable[[], Any]], AbstractContextManager[None]]] = {
    "before": before_the_lock,
    "holding": holding_the_lock,
}


class Scene:
    """A customer's subscription with two partners, its administrator at the API, and a colleague who is the rival."""

    def __init__(self, files: Path) -> None:
        self.files = files
        self.customer = make_customer()
        self.subscription = make_subscription(self.customer)
        self.ours, self.other = make_partner("Nordvik Cloud AB"), make_partner("Halden Konsult AB")
        self.third = make_partner("Skog IT AB")
        self.admin, self.colleague = make_member(self.customer.organisation), make_member(self.customer.organisation)
        self.api = Api(self.admin)
        self.api.client.raise_request_exception = False
        self.path = f"subscriptions/{self.subscription.subscription_id}/partner-of-record/"
        self.today = timezone.now().date()

    @property
    def version(self) -> int:
        return Subscription.objects.get(pk=self.subscription.pk).version

    def changes(self) -> int:
        """Return how often the record was changed, by anyone."""
        return Event.objects.filter(object_id=str(self.subscription.subscription_id)).count()

    # --- What the rival does, or what sets the scene

    def attach(self, partner: Partner | None = None, *, days: int | None = None) -> Association:
        began_on = None if days is None else self.today - timedelta(days=days)
        mpn_id = (partner or self.ours).mpn_id
        return attaching.attach(
            self.subscription.subscription_id, mpn_id, by=self.colleague, began_on=began_on
        ).association

    def attach_other(self) -> None:
        self.attach(self.other)

    def attach_and_undo(self) -> None:
        self.attach(self.other)
        self.undo()

    def attach_other_and_remove(self) -> None:
        self.attach(self.other)
        self.remove()

    def date_back(self) -> None:
        self.attach(days=60)

    def remove(self) -> None:
        attaching.remove(self.subscription.subscription_id, by=self.colleague)

    def remove_and_attach_other(self) -> None:
        self.remove()
        self.attach(self.other)

    def undo(self) -> None:
        undo.undo(self.subscription.subscription_id, by=self.colleague)

    def last_request(self) -> ChangeRequest:
        return ChangeRequest.objects.filter(subscription=self.subscription).latest("pk")

    def answer_ours(self) -> None:
        change_requests.answer(self.last_request().pk, self.ours.mpn_id, by=self.colleague)

    def answer_other(self) -> None:
        change_requests.answer(self.last_request().pk, self.other.mpn_id, by=self.colleague)

    def move(self) -> None:
        self.attach(self.sibling)

    def move_and_undo(self) -> None:
        self.move()
        self.undo()

    def move_back_by_the_company(self) -> None:
        moving.move(self.sibling.mpn_id, self.ours.mpn_id, by=self.of_company)

    def move_by_the_company(self) -> None:
        moving.move(self.ours.mpn_id, self.sibling.mpn_id, by=self.of_company)

    def switch(self) -> None:
        attaching.attach(self.subscription.subscription_id, self.other.mpn_id, by=self.colleague, switch=True)

    def switch_and_undo(self) -> None:
        self.switch()
        self.undo()

    def answer_neither(self) -> None:
        change_requests.answer(self.last_request().pk, None, by=self.colleague)

    def answer_and_undo(self) -> None:
        self.answer_other()
        self.undo()

    def propose_a_third(self) -> None:
        self.attach(self.third)

    def state(self) -> None:
        change_requests.submit_statement(self.last_request().pk, "We do.", by=make_member(self.other.organisation))

    def pass_the_deadline(self) -> None:
        ChangeRequest.objects.update(due_at=timezone.now())
        tasks.run_scheduled()

    def close_other(self) -> None:
        self.load("partners", mpn_id=self.other.mpn_id, name="Halden Konsult AB", status="closed")

    def load(self, file: str, **cells: str) -> list[tuple[str, str, str]]:
        """Load a file of one line; return the line, column and code of its errors."""
        rows = {
            "partners": lambda: estates.partner(self.ours.mpn_id, name="Nordvik Cloud AB", tenant_id=""),
            "subscriptions": lambda: estates.subscription(
                str(self.subscription.subscription_id), tenant_id=str(self.customer.tenant_id)
            ),
            "associations": lambda: estates.association(
                self.other.mpn_id, subscription_id=str(self.subscription.subscription_id)
            ),
        }
        loaded = estates.load_one(self.files, file, rows[file]() | cells)
        assert loaded.errors or not loaded.failure
        return loaded.codes

    def expire(self) -> None:
        self.load("subscriptions", status="expired")

    def go_into_grace(self) -> None:
        self.load("subscriptions", status="grace")

    def suspend(self) -> None:
        self.load("subscriptions", status="suspended")

    def reactivate(self) -> None:
        self.load("subscriptions")

    def start_later(self) -> None:
        self.load("subscriptions", started_on=(self.today - timedelta(days=10)).isoformat())

    def suspend_partner(self) -> None:
        self.load("partners", status="suspended")

    def close_partner(self) -> None:
        self.load("partners", status="closed")

    def load_a_past_period(self) -> None:
        days = {"began_on": 50, "ended_on": 5}
        self.load(
            "associations", **{name: (self.today - timedelta(days=ago)).isoformat() for name, ago in days.items()}
        )

    def load_other(self) -> None:
        self.load("associations", began_on=(self.today - timedelta(days=9)).isoformat())

    def revoke(self) -> None:
        accounts.revoke_token(self.admin.user, self.api.token.pk)

    def suspend_person(self) -> None:
        accounts.suspend(self.admin.user.pk, by=make_staff("programme_administrator"))

    def end_membership(self) -> None:
        Membership.objects.filter(user=self.admin.user).delete()

    # --- Where the scene starts

    def free(self) -> None:
        pass

    def held(self) -> None:
        self.attach()

    def removed(self) -> None:
        self.attach()
        self.remove()

    def contested(self) -> None:
        """Attach ours, and propose the other."""
        self.attach()
        self.attach(self.other)

    def answered(self) -> None:
        self.contested()
        self.answer_other()

    def held_by_a_location(self) -> None:
        """Attach ours, which is a location of a company with another one."""
        company = make_partner("Nordvik Group", kind="global")
        self.of_company = make_member(company.organisation)
        self.ours.organisation.parent = company.organisation
        self.ours.organisation.save()
        self.sibling = make_partner("Nordvik Cloud AB, Malmö", parent=company.organisation)
        self.attach()

    def moved(self) -> None:
        self.held_by_a_location()
        self.move()

    def switched(self) -> None:
        self.attach()
        self.switch()

    def contested_and_removed(self) -> None:
        self.contested()
        self.remove()

    def overdue(self) -> None:
        self.contested()
        ChangeRequest.objects.update(due_at=timezone.now())

    def held_and_expired(self) -> None:
        """Leave what an import leaves that was killed before its end."""
        self.attach()
        Subscription.objects.filter(pk=self.subscription.pk).update(status="expired")

    # --- The caller's verbs; each returns its outcome

    def send(self, method: str, path: str, body: Any = None, version: int | None = None) -> str:
        tag = "*" if version is None else f'"{version}"'
        response = getattr(self.api, method)(path, body, If_Match=tag)
        code = response.json()["code"] if response.status_code >= 400 else ""
        return f"{response.status_code} {code}".strip()

    def puts(self, version: int | None = None, **body: Any) -> str:
        return self.send("put", self.path, {"mpn_id": self.ours.mpn_id} | body, version)

    def attaches(self, version: int | None = None) -> str:
        return self.puts(version)

    def dates_back(self, version: int | None = None) -> str:
        return self.puts(version, began_on=(self.today - timedelta(days=30)).isoformat())

    def removes(self, version: int | None = None) -> str:
        return self.send("delete", self.path, None, version)

    def undoes(self, version: int | None = None) -> str:
        return self.send("post", self.path + "undo/", None, version)

    def answers(self, version: int | None = None) -> str:
        return self.send("post", f"change-requests/{self.last_request().pk}/answer/", {"mpn_id": self.other.mpn_id})

    def proposes_the_other(self, version: int | None = None) -> str:
        return self.puts(version, mpn_id=self.other.mpn_id)

    def proposes_a_third(self, version: int | None = None) -> str:
        return self.puts(version, mpn_id=self.third.mpn_id)

    def switches(self, version: int | None = None) -> str:
        return self.puts(version, mpn_id=self.other.mpn_id, switch=True)

    def moves(self, version: int | None = None) -> str:
        return self.puts(version, mpn_id=self.sibling.mpn_id)

    def company_moves(self, version: int | None = None) -> str:
        moves = moving.move(
            self.ours.mpn_id, self.sibling.mpn_id, [self.subscription.subscription_id], by=self.of_company
        )
        return moves.outcomes[0].code

    def expires(self, version: int | None = None) -> str:
        """Let scheduled work close the change request."""
        return "expired" if change_requests.expire(self.last_request().pk) else "left"

    def ends_from_outside(self, version: int | None = None) -> str:
        association = Association.objects.filter(subscription=self.subscription).order_by("pk")[0]
        return "ended" if ending.end_from_outside([association.pk]) else "left"

    def loads(self, version: int | None = None) -> str:
        day = (self.today - timedelta(days=20)).isoformat()
        found = self.load("associations", mpn_id=self.ours.mpn_id, began_on=day)
        return found[0][2] if found else "loaded"


#: The start, the verb of the caller, the verb of the rival, the outcome, and how often the caller changes the record.
TABLE: list[tuple[str, str, str, str, int]] = [
    ("free", "attaches", "attach", "200", 0),
    ("free", "attaches", "attach_other", "202", 1),
    ("free", "attaches", "attach_and_undo", "201", 1),
    ("free", "attaches", "attach_other_and_remove", "201", 1),
    ("free", "attaches", "date_back", "200", 0),
    ("free", "attaches", "load_other", "202", 1),
    ("free", "attaches", "load_a_past_period", "201", 1),
    ("free", "attaches", "expire", "409 subscription_expired", 0),
    ("free", "attaches", "suspend", "409 subscription_suspended", 0),
    ("free", "attaches", "go_into_grace", "409 subscription_suspended", 0),
    ("free", "attaches", "suspend_partner", "409 partner_suspended", 0),
    ("free", "attaches", "close_partner", "422 partner_not_found", 0),
    ("free", "dates_back", "attach", "200", 1),
    ("free", "dates_back", "date_back", "200", 1),
    ("free", "dates_back", "attach_other", "422 overlaps_another_period", 0),
    ("free", "dates_back", "attach_and_undo", "201", 1),
    ("free", "dates_back", "attach_other_and_remove", "422 overlaps_another_period", 0),
    ("free", "dates_back", "load_a_past_period", "422 overlaps_another_period", 0),
    ("free", "dates_back", "start_later", "422 began_on_too_early", 0),
    ("free", "dates_back", "expire", "409 subscription_expired", 0),
    ("free", "dates_back", "suspend_partner", "409 partner_suspended", 0),
    ("free", "dates_back", "close_partner", "422 partner_not_found", 0),
    ("held", "dates_back", "date_back", "200", 1),
    ("held", "dates_back", "remove", "422 overlaps_another_period", 0),
    ("held", "dates_back", "remove_and_attach_other", "422 overlaps_another_period", 0),
    ("held", "dates_back", "undo", "201", 1),
    ("held", "dates_back", "suspend", "409 subscription_suspended", 0),
    ("held", "dates_back", "expire", "409 subscription_expired", 0),
    ("held", "dates_back", "suspend_partner", "409 partner_suspended", 0),
    ("held", "dates_back", "close_partner", "422 partner_not_found", 0),
    ("held", "removes", "remove", "409 no_partner_of_record", 0),
    ("held", "removes", "undo", "409 no_partner_of_record", 0),
    ("held", "removes", "date_back", "204", 1),
    ("held", "removes", "remove_and_attach_other", "204", 1),
    ("held", "removes", "suspend", "204", 1),
    ("held", "removes", "expire", "409 no_partner_of_record", 0),
    ("held", "removes", "suspend_partner", "204", 1),
    ("held", "removes", "close_partner", "409 no_partner_of_record", 0),
    ("held", "undoes", "undo", "409 nothing_to_undo", 0),
    ("held", "undoes", "remove", "200", 1),
    ("held", "undoes", "date_back", "200", 1),
    ("held", "undoes", "remove_and_attach_other", "200", 1),
    ("held", "undoes", "suspend", "200", 1),
    ("held", "undoes", "expire", "409 nothing_to_undo", 0),
    ("held", "undoes", "suspend_partner", "200", 1),
    ("held", "undoes", "close_partner", "409 nothing_to_undo", 0),
    ("removed", "undoes", "undo", "409 nothing_to_undo", 0),
    ("removed", "undoes", "attach", "200", 1),
    ("removed", "undoes", "attach_other", "200", 1),
    ("removed", "undoes", "attach_and_undo", "409 nothing_to_undo", 0),
    ("removed", "undoes", "suspend", "200", 1),
    ("removed", "undoes", "expire", "409 subscription_expired", 0),
    ("removed", "undoes", "suspend_partner", "200", 1),
    ("removed", "undoes", "close_partner", "409 partner_closed", 0),
    ("held", "proposes_the_other", "attach_other", "202", 0),
    ("held", "proposes_the_other", "remove", "201", 1),
    ("held", "proposes_the_other", "expire", "409 subscription_expired", 0),
    ("held", "proposes_the_other", "close_other", "422 partner_not_found", 0),
    ("held", "switches", "switch", "200", 0),
    ("held", "switches", "switch_and_undo", "200", 1),
    ("held", "switches", "attach_other", "200", 1),
    ("held", "switches", "remove", "201", 1),
    ("held", "switches", "propose_a_third", "200", 1),
    ("held", "switches", "expire", "409 subscription_expired", 0),
    ("held", "switches", "close_other", "422 partner_not_found", 0),
    ("contested", "switches", "answer_ours", "200", 1),
    ("contested", "switches", "answer_neither", "201", 1),
    ("contested", "answers", "switch", "409 change_request_answered", 0),
    ("held_by_a_location", "moves", "move", "200", 0),
    ("held_by_a_location", "moves", "move_and_undo", "200", 1),
    ("held_by_a_location", "moves", "move_by_the_company", "200", 0),
    ("held_by_a_location", "moves", "remove", "201", 1),
    ("held_by_a_location", "moves", "attach_other", "200", 1),
    ("held_by_a_location", "moves", "expire", "409 subscription_expired", 0),
    ("held_by_a_location", "company_moves", "move", "unchanged", 0),
    ("held_by_a_location", "company_moves", "move_by_the_company", "unchanged", 0),
    ("held_by_a_location", "company_moves", "remove", "refused", 0),
    ("held_by_a_location", "company_moves", "switch", "refused", 0),
    ("held_by_a_location", "company_moves", "attach_other", "moved", 1),
    ("held_by_a_location", "company_moves", "expire", "refused", 0),
    ("moved", "undoes", "undo", "409 nothing_to_undo", 0),
    ("moved", "undoes", "move_back_by_the_company", "409 nothing_to_undo", 0),
    ("moved", "undoes", "attach_other", "409 nothing_to_undo", 0),
    ("moved", "removes", "move_back_by_the_company", "204", 1),
    ("switched", "undoes", "undo", "409 nothing_to_undo", 0),
    ("switched", "undoes", "remove", "200", 1),
    ("switched", "undoes", "attach", "409 nothing_to_undo", 0),
    ("switched", "undoes", "close_partner", "409 partner_closed", 0),
    ("contested", "answers", "answer_ours", "409 change_request_answered", 0),
    ("contested", "answers", "answer_neither", "409 change_request_answered", 0),
    ("contested", "answers", "answer_and_undo", "200", 1),
    ("contested", "answers", "remove", "409 change_request_cancelled", 0),
    ("contested", "answers", "propose_a_third", "200", 1),
    ("contested", "answers", "state", "200", 1),
    ("contested", "answers", "pass_the_deadline", "409 change_request_expired", 0),
    ("contested", "answers", "expire", "409 change_request_cancelled", 0),
    ("contested", "answers", "suspend", "409 subscription_suspended", 0),
    ("contested", "answers", "close_partner", "409 change_request_cancelled", 0),
    ("contested", "answers", "close_other", "409 change_request_cancelled", 0),
    ("contested", "proposes_a_third", "answer_other", "202", 1),
    ("contested", "proposes_a_third", "answer_neither", "201", 1),
    ("contested", "proposes_a_third", "propose_a_third", "202", 0),
    ("contested", "proposes_a_third", "remove", "201", 1),
    ("contested", "proposes_a_third", "pass_the_deadline", "202", 1),
    ("contested", "removes", "answer_other", "204", 1),
    ("contested", "removes", "answer_neither", "409 no_partner_of_record", 0),
    ("contested", "removes", "propose_a_third", "204", 2),
    ("contested", "removes", "pass_the_deadline", "204", 1),
    ("contested_and_removed", "undoes", "undo", "409 nothing_to_undo", 0),
    ("contested_and_removed", "undoes", "attach", "200", 1),
    ("contested_and_removed", "undoes", "expire", "409 subscription_expired", 0),
    ("contested_and_removed", "undoes", "close_other", "200", 1),
    ("contested_and_removed", "undoes", "suspend_partner", "200", 2),
    ("answered", "undoes", "undo", "409 nothing_to_undo", 0),
    ("answered", "undoes", "remove", "200", 1),
    ("answered", "undoes", "propose_a_third", "409 nothing_to_undo", 0),
    ("answered", "undoes", "expire", "409 nothing_to_undo", 0),
    ("answered", "undoes", "close_partner", "409 partner_closed", 0),
    ("overdue", "expires", "answer_other", "left", 0),
    ("overdue", "expires", "remove", "left", 0),
    ("overdue", "expires", "propose_a_third", "expired", 1),
    ("overdue", "expires", "expire", "left", 0),
    ("held_and_expired", "ends_from_outside", "remove", "left", 0),
    ("held_and_expired", "ends_from_outside", "undo", "left", 0),
    ("held_and_expired", "ends_from_outside", "reactivate", "left", 0),
    ("held_and_expired", "ends_from_outside", "ends_from_outside", "left", 0),
    ("free", "loads", "attach_other", "overlaps_another_period", 0),
    ("free", "loads", "attach", "changed_in_product", 0),
    ("free", "loads", "attach_and_undo", "loaded", 1),
]
#: These verbs do not lock the partner, so there is nothing to wait for.
NEVER_MEET = {
    ("held", "removes", "suspend_partner"),
    ("held", "undoes", "suspend_partner"),
    ("contested_and_removed", "undoes", "close_other"),
}
#: The crawl has the most of those that meet.
MEETINGS = [
    pytest.param(
        *(*row, moment),
        id=" ".join((*row[:3], moment)),
        marks=[pytest.mark.crawl] if number % 3 and moment != "before" else [],
    )
    for number, row in enumerate(TABLE)
    for moment in MOMENTS
    if moment == "before" or row[:3] not in NEVER_MEET
]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def exact() -> None:
    """Check what always holds."""
    assert most_partners() <= 1
    assert overlaps() == 0
    assert Event.objects.count() == Outbox.objects.count()
    assert list(verify()) == []


@pytest.mark.parametrize(("start", "verb", "rival", "outcome", "count", "moment"), MEETINGS)
def test_verb_has_one_right_answer_whatever_a_rival_does_meanwhile(scene, start, verb, rival, outcome, count, moment):
    getattr(scene, start)()
    after_the_rival = 0

    def act() -> None:
        nonlocal after_the_rival
        getattr(scene, rival)()
        after_the_rival = scene.changes()

    with MOMENTS[moment](act):
        answer = getattr(scene, verb)()

    assert answer == outcome
    assert scene.changes() == after_the_rival + count
    exact()


#: What a colleague may have changed on the subscription since the caller read it.
MOVES = [
    ("free", "attaches", "attach"),
    ("free", "attaches", "attach_and_undo"),
    ("free", "attaches", "start_later"),
    ("free", "dates_back", "attach_other"),
    ("held", "dates_back", "date_back"),
    ("held", "removes", "remove_and_attach_other"),
    ("held", "removes", "date_back"),
    ("held", "undoes", "remove"),
    ("held", "undoes", "undo"),
    ("held", "switches", "attach_other"),
    ("held", "switches", "remove"),
    ("removed", "undoes", "attach_other"),
]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("start", "verb", "rival"), MOVES)
def test_request_with_a_version_is_stale_after_a_change_by_a_rival(scene, start, verb, rival, moment):
    getattr(scene, start)()

    with MOMENTS[moment](getattr(scene, rival)):
        answer = getattr(scene, verb)(version=scene.version)

    assert answer == "412 stale"
    exact()


@pytest.mark.parametrize("loss", ["revoke", "suspend_person", "end_membership"])
@pytest.mark.parametrize(("start", "verb", "outcome"), [
    ("free", "attaches", "201"), ("held", "removes", "204"), ("held", "undoes", "200")
])  # fmt: skip
def test_admitted_request_is_finished_and_the_next_one_is_refused(scene, start, verb, outcome, loss):
    getattr(scene, start)()

    with before_the_lock(getattr(scene, loss)):
        assert getattr(scene, verb)() == outcome

    assert getattr(scene, verb)() == "401 token_invalid"
    exact()


#: Without locks the same rivals do harm: the answer is wrong, or a constraint refuses the write (500).
HARM = [
    ("free", "attaches", "attach_other", "500 internal_error"),
    ("free", "attaches", "expire", "201"),
    ("free", "attaches", "suspend_partner", "201"),
    ("held", "removes", "remove", "204"),
    ("held", "undoes", "undo", "200"),
]


@pytest.mark.parametrize(("start", "verb", "rival", "wrong"), HARM)
def test_rivals_do_harm_without_locks(scene, start, verb, rival, wrong):
    getattr(scene, start)()

    with before_the_write_without_a_lock(getattr(scene, rival)):
        answer = getattr(scene, verb)()

    right = {row[:3]: row[3] for row in TABLE}[start, verb, rival]
    assert answer == wrong != right
