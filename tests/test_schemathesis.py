"""Requests that schemathesis makes from the OpenAPI document: some fit it, some do not, and every answer has to.

`make test` asks each operation as each role some times, always the same. `make fuzz` goes on for longer, each time
with others. Half of the requests name things that exist, so that they come past the 404.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from associations.attaching.actions import attach as attaching
from associations.invitations import actions as invitations
from associations.jobs.actions import bulk
from associations.record import signing
from associations.record.models import Association
from por.accounts.models import Actor
from por.api.views import document
from por.history.actions.relaying import relay
from por.notifications.models import Notification
from por.wsgi import application
from tests import claims
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.fuzzing import SECONDS, chains, fuzz
from tests.test_writes import OF_FILES

#: Requests to each operation as each role: fitting ones, and others. `make fuzz` sends more.
EXAMPLES = 3 if SECONDS else 2
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
]

schema = schemathesis.openapi.from_dict(document())
schema.app = application
OPERATIONS = {found.ok().definition.raw["operationId"]: found.ok() for found in schema.get_all_operations()}
ROLES = ["customer", "partner", "staff", "auditor"]


class Estate:
    """Rows of every kind, a person of each role, and the names of what exists."""

    def __init__(self) -> None:
        customer, partner = make_customer(), make_partner()
        subscription, asked_about = make_subscription(customer), make_subscription(customer)
        opened = make_subscription(customer, agreement="OPEN")
        admin, seller = make_member(customer.organisation), make_member(partner.organisation)
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
        relay()
        for one in (make_partner("Other"), partner):
            request = attaching.attach(asked_about.subscription_id, one.mpn_id, by=admin).request
        assert request
        wanted = make_subscription(customer).subscription_id
        invited = invitations.invite(customer.tenant_id, [wanted], by=seller)
        job = bulk.request([bulk.Pair(str(subscription.subscription_id), partner.mpn_id)], dry_run=True, by=admin)
        claim = claims.make_draft(customer, seller)
        claims.add_proof(claim, seller)
        people: dict[str, Actor] = {
            "customer": admin,
            "partner": seller,
            "staff": make_staff("programme_administrator"),
            "auditor": make_staff("auditor"),
        }
        self.headers = {role: Api(person).headers for role, person in people.items()}
        self.subscriptions = [str(one.subscription_id) for one in (subscription, asked_about, opened)]
        self.mpn_id, self.tenant_id = partner.mpn_id, str(customer.tenant_id)
        notification = {
            role: Notification.objects.filter(membership__user=person.user).values_list("pk", flat=True).first()
            for role, person in people.items()
        }
        self.paths = {
            role: {
                "request_id": request.pk,
                "claim_id": claim.pk,
                "number": 1,
                "invitation_id": str(invited.invitation_id),
                "job_id": job.pk,
                "notification_id": notification[role] or 1,
                "signed": signing.sign(Association.objects.earliest("pk").pk),
            }
            for role in people
        }
        self.invited = [str(wanted)]


@pytest.fixture(scope="module")
def estate(shared: None) -> Iterator[Estate]:
    """Yield the estate. The application must not close the connection that holds it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield Estate()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def known(estate: Estate, role: str, data: st.DataObject, case: Any) -> None:
    """Put what exists in place of what was made up, in the parts of the request that fit the document."""

    def fits(location: ParameterLocation) -> bool:
        component = case.meta.components.get(location)
        return component is None or component.mode.is_positive

    if fits(ParameterLocation.PATH):
        names = (
            estate.paths[role]
            | {"program": "pcs.modern_work"}
            | {"subscription_id": data.draw(st.sampled_from(estate.subscriptions))}
        )
        case.path_parameters = {name: names.get(name, value) for name, value in (case.path_parameters or {}).items()}
    if fits(ParameterLocation.HEADER) and "If-Match" in (case.headers or {}):
        case.headers["If-Match"] = "*"
    if fits(ParameterLocation.QUERY) and "mpn_id" in (case.query or {}):
        case.query["mpn_id"] = estate.mpn_id
    if fits(ParameterLocation.BODY) and isinstance(case.body, dict):
        names = {
            "mpn_id": estate.mpn_id,
            "tenant_id": estate.tenant_id,
            "subscription_ids": estate.invited if "/accept/" in case.path else estate.subscriptions[:1],
            "began_on": None,
            "rows": [{"subscription_id": estate.subscriptions[0], "mpn_id": estate.mpn_id}],
        }
        case.body = {name: names.get(name, value) for name, value in case.body.items()}


#: The statuses that each operation has answered, for the last test.
answered: dict[str, set[int]] = defaultdict(set)
#: The roles that have asked each operation by itself.
roles_asked: set[str] = set()


def ask(estate: Estate, name: str, role: str, *, examples: int = EXAMPLES, stays: bool = False) -> None:
    """Send requests to an operation and check the answers; what they change `stays` for those that follow, or not."""
    modes = [GenerationMode.POSITIVE] if stays else [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]

    def send(data: st.DataObject) -> None:
        case = data.draw(OPERATIONS[name].as_strategy(generation_mode=data.draw(st.sampled_from(modes))))
        if data.draw(st.integers(0, 3)) < 3:
            known(estate, role, data, case)
        if case.query:  # an empty filter is no filter, as in a form
            case.query = {name: value for name, value in case.query.items() if value != ""}
        with transaction.atomic():
            response = case.call_and_validate(headers=estate.headers[role], checks=CHECKS)
            transaction.set_rollback(not stays)
        answered[name].add(response.status_code)

    fuzz(send, examples, share=0 if stays else 1 / len(OPERATIONS) / len(ROLES), data=st.data())


@pytest.mark.parametrize(
    "role", ["customer", "partner", *(pytest.param(one, marks=pytest.mark.crawl) for one in ("staff", "auditor"))]
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_as_the_document_says(estate, name, role):
    roles_asked.add(role)
    ask(estate, name, role)


@pytest.mark.crawl
def test_every_answer_is_as_the_document_says_after_what_others_have_done(estate):
    for name in OPERATIONS:
        for role in ROLES:
            ask(estate, name, role, examples=2, stays=True)


@pytest.mark.crawl
def test_what_an_answer_names_is_asked_for_next(estate):
    """Follow chains: a request takes what the answer before it names, such as an invitation that was just listed."""
    followed: Counter[str] = Counter()

    # A claim is rarely in the status that the next request needs.
    others = schema.exclude(path_regex=r"/(claims|conflicts)/")

    class Chain(others.as_state_machine()):  # type: ignore[misc]
        role = ""

        def setup(self) -> None:
            self.undone = transaction.atomic()
            self.undone.__enter__()

        def teardown(self) -> None:
            transaction.set_rollback(True)
            self.undone.__exit__(None, None, None)

        def step(self, given: Any) -> Any:
            if given.is_applied:
                followed[given.transition.id] += 1
            return super().step(given)

        def before_call(self, case: Any) -> None:
            if "If-Match" in (case.headers or {}):
                case.headers["If-Match"] = "*"

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": estate.headers[self.role]}

        def validate_response(self, response: Any, case: Any, **_more: Any) -> None:
            case.validate_response(response, checks=CHECKS[:5])

    for role in ROLES:
        Chain.role = role
        Chain.run(settings=chains(4 * EXAMPLES))
    assert len(followed) >= 3, followed


@pytest.mark.parametrize("wrong", [{}, {"email": 7}, RuntimeError("a defect")], ids=str)
def test_control_an_answer_that_the_document_does_not_have_is_found(estate, monkeypatch, wrong):
    def answer(_actor: Actor) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    monkeypatch.setattr("por.accounts.api._me", answer)
    case = OPERATIONS["me"].Case()

    with pytest.raises(FailureGroup):
        case.call_and_validate(headers=estate.headers["customer"], checks=CHECKS)


@pytest.mark.parametrize("share", [0.8, pytest.param(0.9, marks=pytest.mark.crawl)])
def test_nearly_every_operation_was_done_at_least_once(share):
    """A run that ends at 404 and 422 everywhere would show nothing. `make fuzz` asks as more roles than `make test`."""
    if len(answered) < len(OPERATIONS) or not {"customer", "partner"} <= roles_asked:
        pytest.skip("the operations were not all asked, or not by those who may do most of them")
    # No file that is made up is one that may be uploaded, and a claim or a conflict is rarely in the right status. Few
    # associations may be ended, and an override is for a company and a day that are rarely made up.
    rare = ("claim", "conflict", "proof", "end_", "override")
    asked = {name for name in OPERATIONS if not name.startswith(rare)} - OF_FILES
    done = [name for name, statuses in answered.items() if name in asked and min(statuses) < 300]

    assert len(done) >= share * len(asked), sorted(asked - set(done))
