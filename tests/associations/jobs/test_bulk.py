"""Attaching many: each row by itself, a dry run first, each row once, and the limits of Check ID."""

from __future__ import annotations

import csv
import io
import uuid

import pytest
from django.db import OperationalError, transaction
from django.test import Client

from associations.attaching.actions import attach as attaching
from associations.change_requests.models import ChangeRequest
from associations.jobs.actions import bulk, running
from associations.jobs.models import Job, JobRow
from associations.record.models import Association
from por.accounts.models import Actor, Membership
from por.db.locks import advisory_lock
from por.directory import actions as directory
from por.directory.models import CheckOfId, Customer
from por.errors import Refused
from por.history.models import Event
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import signed_in
from tests.rivals import end_lock


def outcomes(job: Job) -> list[str]:
    return [row.code or row.outcome for row in job.rows.order_by("row")]


def one_of_each(customer: Customer, admin: Actor) -> tuple[list[bulk.Pair], list[str]]:
    """Return a row of every kind, and the expected outcome of each."""
    ours, other = make_partner(), make_partner("Halden Konsult AB")
    free, held, contested, taken = (make_subscription(customer) for _number in range(4))
    for subscription, partner in ((held, ours), (contested, other)):
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    rows = [
        (free.subscription_id, ours.mpn_id, "attached"),
        (held.subscription_id, f" {ours.mpn_id[:3]}-{ours.mpn_id[3:]}", "unchanged"),
        (contested.subscription_id, ours.mpn_id, "change_requested"),
        (str(taken.subscription_id).upper(), ours.mpn_id, "attached"),
        (free.subscription_id, other.mpn_id, "subscription_twice"),
        ("not a GUID", ours.mpn_id, "subscription_id_malformed"),
        ("", ours.mpn_id, "subscription_id_malformed"),
        (uuid.uuid4(), ours.mpn_id, "not_found"),
        (make_subscription(make_customer("Other")).subscription_id, ours.mpn_id, "not_found"),
        (make_subscription(customer).subscription_id, "12", "mpn_id_malformed"),
        (make_subscription(customer).subscription_id, "99999901", "partner_not_found"),
        (make_subscription(customer).subscription_id, make_partner(kind="global").mpn_id, "partner_is_global"),
        (make_subscription(customer).subscription_id, make_partner(status="suspended").mpn_id, "partner_suspended"),
        (make_subscription(customer, status="expired").subscription_id, ours.mpn_id, "subscription_expired"),
        (make_subscription(customer, status="grace").subscription_id, ours.mpn_id, "subscription_suspended"),
    ]
    return [bulk.Pair(str(row[0]), row[1]) for row in rows], [row[2] for row in rows]


def test_each_row_gets_its_own_outcome(customer, admin):
    pairs, expected = one_of_each(customer, admin)
    before = Event.objects.count()

    tried = bulk.request(pairs, dry_run=True, by=admin)
    assert bulk.run_jobs() == len(pairs)
    assert (outcomes(tried), Event.objects.count()) == (expected, before + 1)
    assert not ChangeRequest.objects.exists()

    job = bulk.apply_tried(tried.pk, by=admin)
    assert bulk.run_jobs() == len(pairs)

    job.refresh_from_db()
    assert (job.status, job.done, outcomes(job)) == ("done", len(pairs), expected)
    assert all(row.detail for row in job.rows.filter(outcome="refused"))
    assert Event.objects.count() == before + 2 + 3  # two jobs, two attached, one change request
    assert bulk.run_jobs() == 0


def test_same_file_again_changes_nothing(customer, admin):
    pairs, _expected = one_of_each(customer, admin)
    for _time in range(2):
        job = bulk.request(pairs, dry_run=False, by=admin)
        record = (Association.objects.count(), ChangeRequest.objects.count())
        bulk.run_jobs()
    assert (Association.objects.count(), ChangeRequest.objects.count()) == record
    assert set(outcomes(job)[:4]) == {"unchanged", "change_requested"}


def test_next_worker_does_only_the_rows_a_dead_worker_left(customer, admin, monkeypatch):
    pairs = [bulk.Pair(str(make_subscription(customer).subscription_id), make_partner().mpn_id) for _row in range(4)]
    job = bulk.request(pairs, dry_run=False, by=admin)
    real, calls = attaching.attach_once, []

    def dies_in_the_third(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(running, "attach_once", dies_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            bulk.run_jobs()
    job.refresh_from_db()
    assert (job.status, job.done) == ("running", 2)

    assert bulk.run_jobs() == 2

    job.refresh_from_db()
    assert (job.status, outcomes(job)) == ("done", ["attached"] * 4)
    assert Event.objects.filter(verb="partner_of_record.attached").count() == 4


def rows_that_depend_on_those_before(customer: Customer) -> list[bulk.Pair]:
    """Return rows with the same IDs in other forms, unknown IDs past the limit, and found ones between them."""
    ours, other = make_partner(), make_partner("Halden Konsult AB", status="suspended")
    one, two, *more = (str(make_subscription(customer).subscription_id) for _row in range(8))
    unknown = [str(99999900 + number) for number in range(4)]
    return [
        bulk.Pair(f"{{{one.upper()}}}", ours.mpn_id),
        bulk.Pair("not a GUID", ours.mpn_id),
        bulk.Pair(one, ours.mpn_id),
        bulk.Pair(two, f"{unknown[0][:4]}-{unknown[0][4:]}"),
        bulk.Pair(two.replace("-", ""), ours.mpn_id),
        bulk.Pair(more[0], unknown[0]),
        bulk.Pair(more[1], other.mpn_id),
        bulk.Pair(more[2], unknown[1]),
        bulk.Pair(more[3], unknown[2]),
        bulk.Pair(more[4], ours.mpn_id),
        bulk.Pair(more[5], unknown[3]),
    ]


@pytest.mark.parametrize("dry_run", [True, False])
def test_outcome_is_the_same_whichever_row_the_worker_dies_in(customer, admin, monkeypatch, dry_run):
    monkeypatch.setattr(running, "UNKNOWN", 2)
    pairs = rows_that_depend_on_those_before(customer)

    def run(dies_in: int) -> tuple[list[str], list[str]]:
        """Run the job by a worker that dies in this row, before or after its work, and by another one."""
        real, rows = JobRow.save, []

        def save(row, *args, **kwargs):
            rows.append(row.row)
            if rows.count(dies_in) == 1 and row.row == dies_in:
                raise KeyboardInterrupt
            return real(row, *args, **kwargs)

        with transaction.atomic():
            job = bulk.request(pairs, dry_run=dry_run, by=admin)
            with monkeypatch.context() as patch:
                patch.setattr(JobRow, "save", save)
                if dies_in:
                    with pytest.raises(KeyboardInterrupt):
                        bulk.run_jobs()
                bulk.run_jobs()
            found = outcomes(job), list(CheckOfId.objects.order_by("pk").values_list("entered", flat=True))
            transaction.set_rollback(True)
        return found

    whole = run(0)
    assert whole[0][:6] == [
        "attached",
        "subscription_id_malformed",
        "subscription_twice",
        "partner_not_found",
        "subscription_twice",
        "partner_not_found",
    ]
    assert whole[0][6:] == ["partner_suspended", "partner_not_found", *["too_many_unknown"] * 3]
    for row in range(1, len(pairs) + 1):
        assert run(row) == whole, f"it died in row {row}"


def test_partners_that_a_dry_run_finds_count_towards_the_checks_of_the_day(customer, admin, monkeypatch):
    monkeypatch.setattr(directory, "PER_DAY", 3)
    found = [make_partner() for _number in range(3)]
    pairs = [bulk.Pair(str(make_subscription(customer).subscription_id), one.mpn_id) for one in (*found, found[0])]
    tried = bulk.request(pairs, dry_run=True, by=admin)
    bulk.run_jobs()

    assert outcomes(tried) == ["attached"] * 4
    assert list(CheckOfId.objects.values_list("outcome", flat=True)) == ["found_by_job"] * 3
    with pytest.raises(Refused) as caught:
        directory.check(found[0].mpn_id, by=admin)
    assert caught.value.code == "too_many_checks"

    unknown = bulk.Pair(str(make_subscription(customer).subscription_id), "99999901")
    again = bulk.request([*pairs, unknown], dry_run=True, by=admin)
    bulk.run_jobs()
    assert outcomes(again) == ["attached"] * 4 + ["partner_not_found"], "no row of a job is refused for it"


def test_partners_that_a_dry_run_finds_do_not_count_for_the_minute(customer, admin, monkeypatch):
    monkeypatch.setattr(directory, "PER_MINUTE", 2)
    found = [make_partner() for _number in range(3)]
    pairs = [bulk.Pair(str(make_subscription(customer).subscription_id), one.mpn_id) for one in found]
    bulk.request(pairs, dry_run=True, by=admin)
    bulk.run_jobs()
    assert directory.check(found[0].mpn_id, by=admin) == found[0]


def job_of(customer: Customer, admin: Actor, rows: int) -> Job:
    pairs = [bulk.Pair(str(make_subscription(customer).subscription_id), make_partner().mpn_id) for _row in range(rows)]
    return bulk.request(pairs, dry_run=False, by=admin)


def test_outage_ends_the_run_and_the_rows_wait_for_the_next_one(customer, admin, monkeypatch):
    first, second = job_of(customer, admin, 2), job_of(customer, admin, 1)
    with monkeypatch.context() as patch:
        patch.setattr(running, "attach_once", raises(OperationalError("server closed the connection unexpectedly")))
        assert bulk.run_jobs() == 0
    for job, status in ((first, "running"), (second, "queued")):
        job.refresh_from_db()
        assert (job.status, job.done) == (status, 0)

    assert bulk.run_jobs() == 3
    assert set(Job.objects.values_list("status", flat=True)) == {"done"}


def test_defect_fails_one_job_and_the_next_one_runs(customer, admin, monkeypatch):
    broken, good = job_of(customer, admin, 1), job_of(customer, admin, 2)
    subscription = broken.rows.get().subscription_id
    real = attaching.attach_once

    def attach(subscription_id, *args, **kwargs):
        if str(subscription_id) == subscription:
            raise ZeroDivisionError
        return real(subscription_id, *args, **kwargs)

    monkeypatch.setattr(running, "attach_once", attach)
    assert bulk.run_jobs() == 2
    assert [Job.objects.get(pk=job.pk).status for job in (broken, good)] == ["failed", "done"]
    assert bulk.run_jobs() == 0


@pytest.mark.django_db(transaction=True)
def test_job_that_another_worker_runs_is_left_to_it(customer, admin):
    theirs, ours = job_of(customer, admin, 1), job_of(customer, admin, 1)
    with advisory_lock("job", [theirs.pk]):
        assert bulk.run_jobs() == 1
        assert [Job.objects.get(pk=job.pk).status for job in (theirs, ours)] == ["queued", "done"]
    assert bulk.run_jobs() == 1


@pytest.mark.django_db(transaction=True)
def test_worker_that_has_lost_the_lock_of_its_job_leaves_the_rest_to_others(customer, admin, monkeypatch):
    job, real = job_of(customer, admin, 3), running.attach_once

    def attach(*args, **kwargs):
        end_lock("job", job.pk)
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(running, "attach_once", attach)
        bulk.run_jobs()
    assert outcomes(job) == ["attached", "", ""]

    assert bulk.run_jobs() == 2
    assert outcomes(job) == ["attached"] * 3


def raises(error: Exception):
    def call(*_args, **_kwargs):
        raise error

    return call


def test_unknown_ids_count_as_checks_and_after_twenty_the_rest_is_refused(customer, admin, monkeypatch):
    monkeypatch.setattr(directory, "PER_MINUTE", 100)
    ours = make_partner()
    known = [bulk.Pair(str(make_subscription(customer).subscription_id), ours.mpn_id) for _row in range(2)]
    unknown = [
        bulk.Pair(str(make_subscription(customer).subscription_id), str(99999900 + number // 2)) for number in range(42)
    ]
    job = bulk.request([known[0], *unknown, known[1]], dry_run=False, by=admin)

    bulk.run_jobs()

    assert outcomes(job) == ["attached", *["partner_not_found"] * 40, *["too_many_unknown"] * 3]
    assert CheckOfId.objects.count() == 20
    assert not Association.objects.filter(subscription__subscription_id=known[1].subscription_id).exists()


def test_jobs_and_dry_runs_obey_the_limit_of_checks(customer, admin):
    for number in range(directory.PER_MINUTE - 1):
        with pytest.raises(Refused):
            directory.check(str(88888000 + number), by=admin)
    pairs = [bulk.Pair(str(make_subscription(customer).subscription_id), str(99999900 + row)) for row in range(4)]
    job = bulk.request(pairs, dry_run=True, by=admin)

    bulk.run_jobs()

    assert outcomes(job) == ["partner_not_found", *["too_many_unknown"] * 3]


def test_job_attaches_nothing_after_its_author_lost_the_right(customer, admin):
    job = bulk.request(
        [bulk.Pair(str(make_subscription(customer).subscription_id), "4471902")], dry_run=False, by=admin
    )
    Membership.objects.filter(user=admin.user).update(role="viewer")

    bulk.run_jobs()

    assert outcomes(job) == ["no_right"]


def test_api_takes_json_or_csv_and_shows_the_job(customer, admin):
    api, partner = Api(admin), make_partner()
    rows = [
        {"subscription_id": str(make_subscription(customer).subscription_id), "mpn_id": partner.mpn_id}
        for _n in range(2)
    ]
    text = "\ufeffMPN_ID;subscription_id\r\n" + "".join(f"{r['mpn_id']};{r['subscription_id']}\r\n" for r in rows)

    tried = api.post("bulk/partner-of-record/?dry_run=true", {"rows": rows})
    bare = api.post("bulk/partner-of-record/?dry_run=1", rows)
    from_csv = api.post("bulk/partner-of-record/", text.encode(), Content_Type="text/csv")
    bulk.run_jobs()

    for answer, expected in ((tried, ["attached"] * 2), (bare, ["attached"] * 2), (from_csv, ["attached"] * 2)):
        assert answer.status_code == 202, answer.content
        job = api.get(f"jobs/{answer.json()['job']['id']}/").json()
        assert (job["status"], job["done"], job["total"]) == ("done", 2, 2)
        assert [row["outcome"] for row in job["results"]] == expected
    assert Association.objects.count() == 2
    lines = list(csv.reader(io.StringIO(api.get(f"jobs/{job['id']}/", {"format": "csv"}).content.decode("utf-8-sig"))))
    assert [line[3] for line in lines] == ["outcome", "attached", "attached"]
    stranger = Api(make_member(make_customer("Other").organisation))
    assert stranger.get(f"jobs/{job['id']}/").status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"rows": []}, "no_rows"),
        ({"rows": [{"subscription_id": "a", "mpn_id": "b"}] * 1001}, "too_many_rows"),
        ({"rows": "a"}, "not_a_list"),
        ([{"subscription_id": "a"}], "required"),
        (b"subscription,mpn_id\r\n1,2", "column_missing"),
        (b"", "required"),
        (b"\xff", "malformed_csv"),
        (b"subscription_id,mpn_id\r\n", "no_rows"),
    ],
)
def test_malformed_rows_are_refused_with_their_field(admin, body, code):
    kind = {"Content_Type": "text/csv"} if isinstance(body, bytes) else {}

    answer = Api(admin).post("bulk/partner-of-record/", body, **kind)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not Job.objects.exists()


def test_page_runs_a_file_dry_and_then_attaches_it(customer, admin, django_assert_max_num_queries):
    pairs, expected = one_of_each(customer, admin)
    client = Client()
    client.force_login(admin.user)
    text = "subscription_id,mpn_id\n" + "\n".join(f"{pair.subscription_id},{pair.mpn_id}" for pair in pairs)

    answer = client.post("/c/bulk/", {"rows": text, "manner": "dry"})
    (tried,) = Job.objects.all()
    assert (answer.status_code, answer["Location"]) == (302, f"/c/bulk/{tried.pk}/")
    assert 'hx-trigger="every 2s"' in client.get(answer["Location"]).content.decode()
    bulk.run_jobs()
    with django_assert_max_num_queries(12):
        page = client.get(answer["Location"]).content.decode()
    assert "This was a dry run" in page
    assert "Attach these partners now" in page
    assert "An earlier row already has this subscription" in page
    applied = client.post(f"/c/bulk/{tried.pk}/apply/")
    bulk.run_jobs()

    file = client.get(applied["Location"] + "?format=csv").getvalue().decode("utf-8-sig")
    assert [line["code"] or line["outcome"] for line in csv.DictReader(io.StringIO(file))] == expected
    assert client.post(f"/c/bulk/{Job.objects.latest('pk').pk}/apply/").status_code == 409
    assert "Dry run" in client.get("/c/bulk/").content.decode()


@pytest.mark.parametrize(
    "sent", [{"manner": "dry"}, {"manner": "dry", "rows": "a,b\n1,2"}, {"manner": "x", "rows": "a"}]
)
def test_page_shows_errors_of_the_rows_at_their_field(admin, sent):
    client = Client()
    client.force_login(admin.user)

    answer = client.post("/c/bulk/", sent)

    assert answer.status_code == 422
    assert not Job.objects.exists()


# --- Removing and answering many ------------------------------------------------------------------------------------


def run_dry_and_then(pairs: list[bulk.Pair], action: str, admin: Actor) -> tuple[list[str], list[str]]:
    """Run the rows dry and then in earnest; return the outcomes of both."""
    tried = bulk.request(pairs, dry_run=True, by=admin, action=action)
    bulk.run_jobs()
    events, associations = Event.objects.count(), Association.objects.filter(ended_at=None).count()
    job = bulk.apply_tried(tried.pk, by=admin)
    assert (Event.objects.count(), Association.objects.filter(ended_at=None).count()) == (events + 1, associations)
    bulk.run_jobs()
    return outcomes(tried), outcomes(job)


def test_partners_are_removed_row_by_row_and_again_nothing_changes(customer, admin):
    ours, other = make_partner(), make_partner()
    subscriptions = [str(make_subscription(customer).subscription_id) for _row in range(3)]
    for one in subscriptions[:2]:
        attaching.attach(uuid.UUID(one), ours.mpn_id, by=admin)
    attaching.attach(uuid.UUID(subscriptions[1]), other.mpn_id, by=admin)
    foreign = str(make_subscription(make_customer()).subscription_id)
    pairs = [
        bulk.Pair(f"{{{subscriptions[0].upper()}}}", reason="The project has ended."),
        *(bulk.Pair(one) for one in (subscriptions[0], *subscriptions[1:], foreign, "not a GUID")),
    ]
    expected = ["removed", "subscription_twice", "removed", "unchanged", "not_found", "subscription_id_malformed"]
    assert run_dry_and_then(pairs, "remove", admin) == (expected, expected)
    assert not Association.objects.filter(ended_at=None).exists()
    assert ChangeRequest.objects.get().status == "cancelled"
    reason = Event.objects.get(verb="partner_of_record.removed", object_id=subscriptions[0]).reason
    assert reason == "The project has ended."
    job = bulk.request(pairs, dry_run=False, by=admin, action="remove")
    bulk.run_jobs()
    assert outcomes(job)[:4] == ["unchanged", "subscription_twice", "unchanged", "unchanged"]
    assert not CheckOfId.objects.filter(outcome="found_by_job").exists()


def test_change_requests_are_answered_row_by_row(customer, admin):
    ours, other, third = make_partner(), make_partner(), make_partner()
    subscriptions = [make_subscription(customer).subscription_id for _row in range(5)]
    for one in subscriptions[:4]:
        attaching.attach(one, ours.mpn_id, by=admin)
        attaching.attach(one, other.mpn_id, by=admin)
    answers = (other.mpn_id, ours.mpn_id, "Neither", third.mpn_id, ours.mpn_id)
    pairs = [bulk.Pair(str(one), mpn_id, "We agreed.") for one, mpn_id in zip(subscriptions, answers, strict=True)]
    pairs.append(bulk.Pair(str(make_subscription(make_customer()).subscription_id), ours.mpn_id))
    expected = ["answered", "answered", "answered", "not_a_party", "no_change_request", "no_change_request"]
    assert run_dry_and_then(pairs, "answer", admin) == (expected, expected)
    open_now = Association.objects.filter(ended_at=None, kind="dpor").order_by("subscription__pk")
    assert list(open_now.values_list("partner__mpn_id", flat=True)) == [other.mpn_id, ours.mpn_id, ours.mpn_id]
    answered = ChangeRequest.objects.filter(status="answered").order_by("pk")
    assert [one.answer_statement for one in answered] == ["We agreed."] * 3


def test_answer_that_is_missing_is_no_answer(customer, admin):
    job = bulk.request(
        [bulk.Pair(str(make_subscription(customer).subscription_id))], dry_run=False, by=admin, action="answer"
    )
    bulk.run_jobs()
    assert outcomes(job) == ["answer_missing"]


@pytest.mark.parametrize("action", ["remove", "answer"])
def test_removing_and_answering_end_the_same_whichever_row_the_worker_dies_in(customer, admin, monkeypatch, action):
    ours, other = make_partner(), make_partner()
    subscriptions = [make_subscription(customer).subscription_id for _row in range(3)]
    for one in subscriptions:
        attaching.attach(one, ours.mpn_id, by=admin)
        attaching.attach(one, other.mpn_id, by=admin)
    pairs = [bulk.Pair(f"{{{one}}}", other.mpn_id) for one in subscriptions]
    pairs += [bulk.Pair("bad"), *(bulk.Pair(str(one), ours.mpn_id) for one in subscriptions)]

    def run(dies_in: int) -> tuple[list[str], int]:
        real, rows = JobRow.save, []

        def save(row, *args, **kwargs):
            rows.append(row.row)
            if rows.count(dies_in) == 1 and row.row == dies_in:
                raise KeyboardInterrupt
            return real(row, *args, **kwargs)

        with transaction.atomic():
            job = bulk.request(pairs, dry_run=False, by=admin, action=action)
            with monkeypatch.context() as patch:
                patch.setattr(JobRow, "save", save)
                if dies_in:
                    with pytest.raises(KeyboardInterrupt):
                        bulk.run_jobs()
                bulk.run_jobs()
            found = outcomes(job), Event.objects.count()
            transaction.set_rollback(True)
        return found

    whole = run(0)
    done = "removed" if action == "remove" else "answered"
    assert whole[0] == [done] * 3 + ["subscription_id_malformed"] + ["subscription_twice"] * 3
    for row in range(1, len(pairs) + 1):
        assert run(row) == whole, f"it died in row {row}"


def test_api_removes_and_answers_many(customer, admin):
    ours, other = make_partner(), make_partner()
    one, two = (make_subscription(customer).subscription_id for _row in range(2))
    for subscription in (one, two):
        attaching.attach(subscription, ours.mpn_id, by=admin)
        attaching.attach(subscription, other.mpn_id, by=admin)
    api = Api(admin)
    rows = [{"subscription_id": str(one), "mpn_id": None}, {"subscription_id": str(two), "mpn_id": other.mpn_id}]
    job = api.post("bulk/answers/?dry_run=true", rows).json()["job"]
    assert (job["action"], job["dry_run"]) == ("answer", True)
    assert api.post("bulk/answers/", rows).status_code == 202
    bulk.run_jobs()
    assert list(Association.objects.filter(ended_at=None).values_list("partner__mpn_id", flat=True)) == [other.mpn_id]
    job = api.post("bulk/removals/", f"subscription_id;reason\n{two};Done".encode(), Content_Type="text/csv").json()[
        "job"
    ]
    bulk.run_jobs()
    (result,) = api.get(f"jobs/{job['id']}/").json()["results"]
    assert (result["outcome"], result["mpn_id"]) == ("removed", "")
    refused = api.post("bulk/removals/", [{"subscription_id": str(two), "reason": "x" * 5_000}])
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "rows.0.reason")


def test_page_removes_after_a_dry_run(customer, admin):
    subscription = make_subscription(customer).subscription_id
    attaching.attach(subscription, make_partner().mpn_id, by=admin)
    client = signed_in(admin)
    answer = client.post("/c/bulk/", {"rows": f"subscription_id\n{subscription}", "manner": "dry", "action": "remove"})
    bulk.run_jobs()
    page = client.get(answer.url)
    assert "Remove these partners now" in page.text
    assert "Removed" in page.text
    client.post(f"{answer.url}apply/")
    bulk.run_jobs()
    assert not Association.objects.filter(ended_at=None).exists()


# --- The beginning of an ID -----------------------------------------------------------------------------------------


def test_beginning_of_an_id_is_enough_where_only_one_begins_so(customer, admin):
    ours = make_partner()
    one = make_subscription(customer, subscription_id=uuid.UUID("11111111-0000-4000-8000-000000000001"))
    for last in "23":
        make_subscription(customer, subscription_id=uuid.UUID(f"22222222-0000-4000-8000-00000000000{last}"))
    make_subscription(make_customer(), subscription_id=uuid.UUID("11111111-0000-4000-8000-000000000004"))
    pairs = [bulk.Pair(text, ours.mpn_id) for text in ("11111111", str(one.subscription_id), "22222222", "33333333")]
    pairs += [bulk.Pair("22222222-0000-4000-8000-00000000000", ours.mpn_id)]

    job = bulk.request(pairs, dry_run=False, by=admin)
    bulk.run_jobs()

    ambiguous = "subscription_id_ambiguous"
    assert outcomes(job) == ["attached", "subscription_twice", ambiguous, "subscription_id_malformed", ambiguous]
    assert Association.objects.get().subscription == one
    assert job.rows.get(row=3).detail == "Several IDs begin with “22222222”. Enter the whole ID."
