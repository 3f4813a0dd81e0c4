"""Inviting many customers: one invitation for each customer and message, a dry run first, and the limits of one."""

from __future__ import annotations

import csv
import io
import re
import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.invitations import actions as invitations
from associations.invitations.models import Invitation, Invited
from associations.jobs.actions import bulk, running
from associations.jobs.models import Job, JobRow
from por.accounts.models import Actor, Membership
from por.errors import Forbidden
from por.history.models import Event
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import signed_in


def outcomes(job: Job) -> list[str]:
    return [row.code or row.outcome for row in job.rows.order_by("row")]


def row(subscription, message: str = "") -> bulk.Pair:
    return bulk.Pair(str(subscription.subscription_id), reason=message, tenant_id=str(subscription.customer.tenant_id))


def run(pairs: list[bulk.Pair], amira: Actor, *, dry_run: bool = False) -> Job:
    job = bulk.request(pairs, dry_run=dry_run, by=amira, action="invite")
    bulk.run_jobs()
    return job


def one_of_each(amira: Actor) -> tuple[list[bulk.Pair], list[str]]:
    """Return a row of every kind, and the expected outcome of each."""
    ours, theirs = make_customer("Ours AB"), make_customer("Theirs AB")
    first, second, third, fourth = (make_subscription(ours) for _number in range(4))
    other = make_subscription(theirs)
    invitations.invite(ours.tenant_id, [fourth.subscription_id], by=amira)
    rows = [
        (row(first, "Hello"), "invited"),
        (row(other), "invited"),
        (row(second, "Hello"), "invited"),
        (row(third), "invited"),
        (bulk.Pair(f"{{{first.subscription_id}}}".upper(), reason="Hello", tenant_id=str(ours.tenant_id)), ""),
        (bulk.Pair(str(other.subscription_id), tenant_id=str(ours.tenant_id)), ""),
        (row(fourth), "already_invited"),
        (row(make_subscription(ours, status="expired")), "subscription_expired"),
        (bulk.Pair(str(make_subscription(theirs).subscription_id), tenant_id=str(ours.tenant_id)), ""),
        (bulk.Pair(str(uuid.uuid4()), tenant_id=str(ours.tenant_id)), "subscription_not_found"),
        (bulk.Pair(str(uuid.uuid4()), tenant_id=str(uuid.uuid4())), "subscription_not_found"),
        (bulk.Pair("not a GUID", tenant_id=str(ours.tenant_id)), "subscription_id_malformed"),
        (bulk.Pair(str(make_subscription(ours).subscription_id), tenant_id="ours"), "tenant_id_malformed"),
    ]
    expected = [one[1] for one in rows]
    expected[4] = expected[5] = "subscription_twice"
    expected[8] = "subscription_not_found"
    return [one[0] for one in rows], expected


def test_rows_of_one_customer_and_message_become_one_invitation(amira):
    pairs, expected = one_of_each(amira)
    before, sent = Event.objects.count(), Invitation.objects.count()

    tried = run(pairs, amira, dry_run=True)
    assert (outcomes(tried), Event.objects.count(), Invitation.objects.count()) == (expected, before + 1, sent)

    job = bulk.apply_tried(tried.pk, by=amira)
    assert bulk.run_jobs() == len(pairs)

    job.refresh_from_db()
    assert (job.status, job.done, outcomes(job)) == ("done", len(pairs), expected)
    assert all(one.detail for one in job.rows.filter(outcome="refused"))
    made = Invitation.objects.order_by("pk")[sent:]
    found = {(one.customer.organisation.name, one.message, one.invited.count()) for one in made}
    assert found == {("Ours AB", "Hello", 2), ("Theirs AB", "", 1), ("Ours AB", "", 1)}
    stored = dict(job.rows.exclude(invitation=None).values_list("row", "invitation"))
    assert stored[1] == stored[3] != stored[2]
    assert set(stored.values()) == {one.invitation_id for one in made}
    assert Event.objects.count() == before + 2 + 3  # two jobs, three invitations


def test_same_file_again_invites_no_one_twice(amira):
    pairs, _expected = one_of_each(amira)
    run(pairs, amira)
    sent = Invitation.objects.count()
    assert outcomes(run(pairs, amira))[:4] == ["already_invited"] * 4
    assert Invitation.objects.count() == sent


def test_customer_with_more_subscriptions_than_one_invitation_holds_gets_several(amira, monkeypatch):
    monkeypatch.setattr(invitations, "MOST", 2)
    customer = make_customer()
    job = run([row(make_subscription(customer)) for _number in range(5)], amira)
    assert outcomes(job) == ["invited"] * 5
    assert sorted(one.invited.count() for one in Invitation.objects.all()) == [1, 2, 2]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(("unknown", "a_day", "last"), [(2, 100, "too_many_unknown"), (20, 4, "too_many_invitations")])
def test_outcome_is_the_same_whichever_row_the_worker_dies_in(amira, monkeypatch, dry_run, unknown, a_day, last):
    monkeypatch.setattr(running, "UNKNOWN", unknown)
    monkeypatch.setattr(invitations, "A_DAY", a_day)
    pairs, _expected = one_of_each(amira)
    pairs += [row(make_subscription(make_customer())) for _number in range(2)]

    def found(dies_in: int) -> tuple[list[str], int, int, int]:
        """Run the job by a worker that dies when it saves this row, and by another one."""
        real, rows = JobRow.save, []

        def save(one, *args, **kwargs):
            rows.append(one.row)
            if rows.count(dies_in) == 1 and one.row == dies_in:
                raise KeyboardInterrupt
            return real(one, *args, **kwargs)

        with transaction.atomic():
            job = bulk.request(pairs, dry_run=dry_run, by=amira, action="invite")
            with monkeypatch.context() as patch:
                patch.setattr(JobRow, "save", save)
                if dies_in:
                    with pytest.raises(KeyboardInterrupt):
                        bulk.run_jobs()
                bulk.run_jobs()
            counts = (
                Event.objects.count(),
                Invited.objects.count(),
                job.rows.exclude(invitation=None).values("invitation").distinct().count(),
            )
            result = (outcomes(job), *counts)
            transaction.set_rollback(True)
        return result

    whole = found(0)
    assert whole[0][:4] == ["invited"] * 4
    assert whole[0][-1] == last
    for number in range(1, len(pairs) + 1):
        assert found(number) == whole, f"it died in row {number}"


def test_job_sends_no_more_invitations_than_a_partner_may_in_a_day(amira, monkeypatch):
    monkeypatch.setattr(invitations, "A_DAY", 3)
    before = make_subscription(make_customer())
    invitations.invite(before.customer.tenant_id, [before.subscription_id], by=amira)
    pairs = [row(make_subscription(make_customer())) for _number in range(3)]
    expected = ["invited", "invited", "too_many_invitations"]

    assert outcomes(run(pairs, amira, dry_run=True)) == expected
    assert outcomes(run(pairs, amira)) == expected
    assert Invitation.objects.count() == 3


def test_dry_runs_find_no_more_customers_in_a_day_than_can_be_invited(amira, monkeypatch):
    monkeypatch.setattr(invitations, "A_DAY", 3)
    pairs = [row(make_subscription(make_customer())) for _number in range(6)]

    assert outcomes(run(pairs[:2], amira, dry_run=True)) == ["invited"] * 2
    again = outcomes(run(pairs[:4], amira, dry_run=True))
    assert again == ["invited"] * 3 + ["too_many_invitations"], "the two that were found before count once"
    assert outcomes(run(pairs[4:], amira, dry_run=True)) == ["too_many_invitations"] * 2
    Job.objects.update(asked_at=timezone.now() - timedelta(days=2))
    assert outcomes(run(pairs[4:], amira, dry_run=True)) == ["invited"] * 2
    assert outcomes(run(pairs[3:], amira)) == ["invited"] * 3, "what a dry run has found limits no invitation"


def test_after_twenty_unknown_subscriptions_the_rest_is_refused(amira):
    customer = make_customer()
    unknown = [bulk.Pair(str(uuid.uuid4()), tenant_id=str(customer.tenant_id)) for _number in range(21)]
    known = [row(make_subscription(make_customer())) for _number in range(2)]
    for dry_run in (True, False):
        job = run([known[0], *unknown, known[1]], amira, dry_run=dry_run)
        assert outcomes(job) == ["invited", *["subscription_not_found"] * 20, *["too_many_unknown"] * 2]


def test_beginnings_of_ids_that_the_partner_knows_are_enough(customer, admin, amira):
    partner = amira.organisation.partner
    known, free = make_subscription(customer), make_subscription(customer)
    attaching.attach(known.subscription_id, partner.mpn_id, by=admin)
    attaching.remove(known.subscription_id, by=admin)
    short, tenant = str(known.subscription_id)[:8], str(customer.tenant_id)[:8]
    pairs = [
        bulk.Pair(short, tenant_id=tenant),
        bulk.Pair(str(known.subscription_id), tenant_id=tenant),
        bulk.Pair(str(free.subscription_id)[:8], tenant_id=str(customer.tenant_id)),  # the partner has never seen it
        bulk.Pair(str(free.subscription_id), tenant_id="00000000"),
    ]
    job = run(pairs, amira)
    assert outcomes(job) == ["invited", "subscription_twice", "subscription_id_malformed", "tenant_id_malformed"]
    assert Invited.objects.get().subscription == known


def test_subscription_that_the_partner_is_of_record_for_already_is_left_as_it_is(customer, admin, amira):
    held, free = make_subscription(customer), make_subscription(customer)
    attaching.attach(held.subscription_id, amira.organisation.partner.mpn_id, by=admin)
    for pairs in ([row(held), row(free)], [row(free), row(held)]):
        expected = ["unchanged", "invited"] if pairs[0] == row(held) else ["invited", "unchanged"]
        assert outcomes(run(pairs, amira, dry_run=True)) == expected
    assert outcomes(run([row(held)], amira)) == ["unchanged"]
    assert not Invitation.objects.exists()


def test_viewer_invites_no_one_and_neither_does_a_customer(admin, amira):
    pairs = [row(make_subscription(make_customer()))]
    for actor in (admin, make_member(amira.organisation, "viewer")):
        with pytest.raises(Forbidden):
            bulk.request(pairs, dry_run=True, by=actor, action="invite")
    with pytest.raises(Forbidden):
        bulk.request(pairs, dry_run=True, by=amira)
    job = bulk.request(pairs, dry_run=False, by=amira, action="invite")
    Membership.objects.filter(user=amira.user).update(role="viewer")
    bulk.run_jobs()
    assert outcomes(job) == ["no_right"]


def test_company_reads_the_jobs_of_its_locations_and_invites_no_one_itself(amira):
    company = make_partner("Nordvik Gruppen", kind="global")
    amira.organisation.parent = company.organisation
    amira.organisation.save()
    run([row(make_subscription(make_customer()))], amira)
    web = signed_in(make_member(company.organisation))
    page = web.get("/p/invitations/many/")
    assert "A global account cannot be the partner of record." in page.text
    assert "<textarea" not in page.text
    assert web.get(f"/p/invitations/many/{Job.objects.get().pk}/").status_code == 200
    rival = signed_in(make_member(make_partner(parent=company.organisation).organisation))
    assert rival.get(f"/p/invitations/many/{Job.objects.get().pk}/").status_code == 404


def test_suspended_partner_invites_no_one(amira):
    amira.organisation.partner.status = "suspended"
    amira.organisation.partner.save()
    assert "<textarea" not in signed_in(amira).get("/p/invitations/many/").text
    assert outcomes(run([row(make_subscription(make_customer()))], amira)) == ["partner_suspended"]


def test_api_invites_many(amira):
    api, subscription = Api(amira), make_subscription(make_customer())
    tenant = str(subscription.customer.tenant_id)
    rows = [{"tenant_id": tenant, "subscription_id": str(subscription.subscription_id), "message": "As agreed."}]
    tried = api.post("bulk/invitations/?dry_run=true", rows).json()["job"]
    assert (tried["action"], tried["dry_run"]) == ("invite", True)
    text = f"tenant_id\tsubscription_id\tmessage\n{tenant}\t{subscription.subscription_id}\tAs agreed."
    sent = api.post("bulk/invitations/", text.encode(), Content_Type="text/csv").json()["job"]
    bulk.run_jobs()

    (result,) = api.get(f"jobs/{tried['id']}/").json()["results"]
    assert (result["outcome"], result["invitation"]) == ("invited", None)
    (result,) = api.get(f"jobs/{sent['id']}/").json()["results"]
    invitation = Invitation.objects.get()
    assert (result["tenant_id"], result["invitation"]) == (tenant, str(invitation.invitation_id))
    assert invitation.message == "As agreed."
    assert api.post("bulk/invitations/", [{"subscription_id": "a"}]).json()["errors"][0]["field"] == "rows.0.tenant_id"
    assert api.post("bulk/removals/", [{"subscription_id": "a"}]).status_code == 403


def test_page_invites_after_a_dry_run(amira):
    pairs, expected = one_of_each(amira)
    sent = Invitation.objects.count()
    client = signed_in(amira)
    assert "/p/invitations/many/" in client.get("/p/invitations/").text
    text = "tenant_id,subscription_id,message\n"
    text += "\n".join(f"{one.tenant_id},{one.subscription_id},{one.reason}" for one in pairs)

    answer = client.post("/p/invitations/many/", {"rows": text, "manner": "dry"})
    bulk.run_jobs()
    page = client.get(answer.url).text
    assert "This was a dry run" in page
    assert "Send these invitations now" in page
    assert "3 invitations: one for each customer and message." in page
    applied = client.post(f"{answer.url}apply/")
    bulk.run_jobs()

    file = client.get(applied.url + "?format=csv").getvalue().decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(file)))
    assert [line["code"] or line["outcome"] for line in lines] == expected
    assert lines[0]["message"] == "Hello"
    assert Invitation.objects.count() == sent + 3
    assert "Send these invitations now" not in client.get(applied.url).text
    assert signed_in(make_member(make_partner().organisation)).get(applied.url).status_code == 404


def test_file_of_the_partners_gaps_is_sent_back_as_it_is(customer, admin, amira):
    partner = amira.organisation.partner
    for _number in range(2):
        one = make_subscription(customer)
        attaching.attach(one.subscription_id, partner.mpn_id, by=admin)
        attaching.remove(one.subscription_id, by=admin)
    kept = make_subscription(customer)
    attaching.attach(kept.subscription_id, partner.mpn_id, by=admin)
    client = signed_in(amira)
    (link,) = re.findall(r'href="(/p/gaps/[^"]+)"', client.get("/p/invitations/many/").text)
    file = b"".join(client.get(link.replace("&amp;", "&")))

    client.post("/p/invitations/many/", {"file": SimpleUploadedFile("gaps.csv", file), "manner": "now"})
    bulk.run_jobs()

    assert outcomes(Job.objects.get()) == ["invited"] * 2
    assert Invitation.objects.get().invited.count() == 2


def test_page_says_which_column_is_missing(amira):
    answer = signed_in(amira).post("/p/invitations/many/", {"rows": "tenant_id,mpn_id\n1,2", "manner": "dry"})
    assert answer.status_code == 422
    assert "The column subscription_id is missing." in answer.text
