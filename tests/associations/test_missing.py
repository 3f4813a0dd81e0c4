"""A subscription that a file no longer names: shown, listed and told, and nothing is ended by it."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pytest
from django.utils import timezone

from associations.record.models import Association
from por.accounts.models import Actor, Organisation
from por.directory.imports import absent
from por.directory.models import Subscription
from por.history.models import Event
from por.imports import loading
from tests.api import Api
from tests.estates import (
    OTHER_TENANT,
    PARTNER,
    TENANT,
    Loaded,
    Row,
    association,
    customer,
    load,
    load_one,
    partner,
    write,
)
from tests.estates import subscription as row_of
from tests.factories import make_member, make_staff
from tests.pages import signed_in

pytestmark = pytest.mark.usefixtures("any_time")

#: Four subscriptions of one customer, and four of another.
OURS = [f"{number:08}-7a53-4a86-8b0d-3f6f0f3f7b21" for number in range(1, 5)]
THEIRS = [f"{number:08}-7a53-4a86-8b0d-3f6f0f3f7b21" for number in range(5, 9)]
WORDS = "Not in the last file since"


def rows(*ids: str, **cells: str) -> list[Row]:
    return [row_of(one, tenant_id=TENANT if one in OURS else OTHER_TENANT, **cells) for one in ids]


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Import two customers, their subscriptions, and a partner of record of the first one."""
    load_one(tmp_path, "partners", partner())
    load_one(tmp_path, "customers", customer(), customer(OTHER_TENANT, name="Alm AB"))
    load_one(tmp_path, "subscriptions", *rows(*OURS, *THEIRS))
    load_one(tmp_path, "associations", association(subscription_id=OURS[0]))
    return tmp_path


def import_rows(estate: Path, given: Sequence[Row], *arguments: str) -> Loaded:
    for old in estate.glob("*.csv"):
        old.unlink()
    return load(write(estate, subscriptions=list(given)), *arguments)


def missing() -> list[str]:
    found = Subscription.objects.filter(missing_since__isnull=False).order_by("subscription_id")
    return [str(one.subscription_id) for one in found]


def told() -> list[tuple[str, list[int], list[str | None]]]:
    """Return the events of marks, oldest first: subscription, parties, and the days before and after."""
    found = Event.objects.filter(verb="subscription.changed", changes__subscription__has_key="missing_since")
    return [(one.object_id, one.parties, one.changes["subscription"]["missing_since"]) for one in found.order_by("pk")]


# --- Which files say it ---------------------------------------------------------------------------------------------


def test_first_import_marks_nothing(estate: Path) -> None:
    assert missing() == []
    assert told() == []


def test_subscription_that_a_file_leaves_out_is_missing_until_one_names_it_again(estate: Path) -> None:
    today = timezone.now().date().isoformat()
    loaded = import_rows(estate, rows(*OURS[1:], *THEIRS))
    assert "subscriptions.csv names other subscriptions of these customers, but not these: 1." in loaded.out
    assert "Nothing has changed." not in loaded.out
    assert missing() == OURS[:1]
    partner_key = Organisation.objects.get(number=PARTNER).pk
    assert told() == [(OURS[0], [partner_key], [None, today])]
    assert Association.objects.get().ended_at is None, "nothing ends"
    assert Subscription.objects.get(subscription_id=OURS[0]).version == 3, "its ETag changes"

    Subscription.objects.filter(subscription_id=OURS[0]).update(missing_since="2026-01-31")
    again = import_rows(estate, rows(*OURS[1:], *THEIRS))
    assert "Nothing has changed." in again.out
    assert Subscription.objects.get(subscription_id=OURS[0]).missing_since == date(2026, 1, 31), "since the first one"

    back = import_rows(estate, rows(OURS[0]))
    assert "names again: 1" in back.out
    assert missing() == []
    assert told()[1:] == [(OURS[0], [partner_key], ["2026-01-31", None])]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(rows(OURS[0], seats="7"), id="a corrected line"),
        pytest.param(rows(*OURS[:3], seats="7"), id="a part of one customer"),
        pytest.param(rows(*OURS), id="all of one customer"),
    ],
)
def test_file_that_is_a_part_says_nothing_of_the_rest(estate: Path, given: list[Row]) -> None:
    assert import_rows(estate, given).failure == ""
    assert missing() == []


def test_customer_that_a_file_does_not_name_keeps_all_its_subscriptions(estate: Path) -> None:
    third = str(uuid.UUID(int=3))
    load_one(estate, "customers", customer(third, name="Ek AB"))
    import_rows(estate, [row_of(str(uuid.UUID(int=4)), tenant_id=third)])
    import_rows(estate, rows(*OURS[:3], *THEIRS[:3]))
    assert missing() == [OURS[3], THEIRS[3]]


def test_file_with_half_of_all_subscriptions_is_a_part(estate: Path) -> None:
    import_rows(estate, rows(*OURS[:3], THEIRS[0]))
    assert missing() == []
    import_rows(estate, rows(*OURS[:3], *THEIRS[:2]))
    assert missing() == [OURS[3], *THEIRS[2:]]


def test_file_is_complete_or_not_if_somebody_says_so(estate: Path) -> None:
    import_rows(estate, rows(*OURS[1:], *THEIRS), "--complete", "no")
    assert missing() == []
    import_rows(estate, rows(OURS[3]), "--complete", "yes")
    assert missing() == OURS[:3], "of the customer that it names"


def test_subscription_that_has_expired_is_not_missed(estate: Path) -> None:
    import_rows(estate, rows(OURS[0], status="expired"))
    import_rows(estate, rows(*OURS[1:], *THEIRS))
    assert missing() == []


def test_row_that_is_refused_names_its_subscription_all_the_same(estate: Path) -> None:
    bad = rows(OURS[0])[0] | {"seats": "many"}
    loaded = import_rows(estate, [bad, *rows(*OURS[2:], *THEIRS)])
    assert loaded.codes == [("2", "seats", "malformed_number")]
    assert missing() == [OURS[1]]
    bad = rows(OURS[1])[0] | {"tenant_id": str(uuid.UUID(int=9))}
    assert import_rows(estate, [bad, *rows(OURS[0], *OURS[2:], *THEIRS)]).codes == [
        ("2", "tenant_id", "unknown_customer")
    ]
    assert missing() == []


def test_file_with_a_row_that_cannot_be_read_says_nothing(estate: Path) -> None:
    bad = rows(OURS[0])[0] | {"subscription_id": "?"}
    loaded = import_rows(estate, [bad, *rows(*OURS[2:], *THEIRS)])
    assert "Some rows of subscriptions.csv do not tell their subscription: 1." in loaded.out
    assert missing() == []


def test_dry_run_says_what_would_be_missing_and_marks_nothing(estate: Path) -> None:
    loaded = import_rows(estate, rows(*OURS[1:], *THEIRS), "--dry-run")
    assert "but not these: 1." in loaded.out
    assert missing() == []
    assert told() == []


class Killed(Exception):
    """The import has died."""


def test_import_that_was_killed_marks_the_same_when_it_is_run_again(
    estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four subscriptions are marked in batches of one. The import is killed in each batch."""
    given = [*rows(OURS[1], seats="9"), *rows(*THEIRS[:3])]  # half of all
    monkeypatch.setattr(loading, "BATCH", 1)
    for batches in range(4):
        left = [1]  # each import gets one batch further

        def killed(_changes: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        with monkeypatch.context() as died, pytest.raises(Killed) if batches < 3 else nullcontext():
            died.setattr(absent, "change_listeners", [*absent.change_listeners, killed])
            import_rows(estate, given, "--complete", "yes")
        assert len(missing()) == batches + 1
    assert missing() == [OURS[0], *OURS[2:], THEIRS[3]]
    assert sorted(one for one, _parties, _days in told()) == missing(), "each is told once"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param(f"Enabled,{OURS[0]}", OURS[1:], id="one row"),
        pytest.param(f"Enabled,{OURS[0]}\nEnabled,{OURS[1]}\nEnabled,{OURS[2]}", OURS[3:], id="three rows"),
        pytest.param(f"Enabled,{OURS[0]}\nWhatever,{OURS[1]}\nEnabled,{OURS[2]}", OURS[3:], id="a refused row"),
        pytest.param(f"Enabled,{OURS[0]}\nEnabled,?\nEnabled,{OURS[2]}", [], id="a row without an ID"),
        pytest.param(f"Enabled,{OURS[0]}\nEnabled\nEnabled,{OURS[2]}", [], id="a row that cannot be read"),
    ],
)
def test_export_of_a_whole_tenant_is_complete_for_it(estate: Path, given: str, found: list[str]) -> None:
    """Microsoft Graph lists all subscriptions of one tenant, however many others there are."""
    for old in estate.glob("*.csv"):
        old.unlink()
    header = "SkuPartNumber,SkuId,TotalLicenses,NextLifecycleDateTime,CreatedDateTime,Status,Id"
    lines = [f"EMS,,12,2027-03-01,2024-02-01,{one}" for one in given.split("\n")]
    (estate / "graph.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    load(estate, "--set", f"tenant_id={TENANT}", "--set", "agreement=EA")
    assert missing() == found


# --- Where it is shown ----------------------------------------------------------------------------------------------


@pytest.fixture
def marked(estate: Path) -> Path:
    import_rows(estate, rows(*OURS[1:], *THEIRS))
    Subscription.objects.filter(subscription_id=OURS[0]).update(missing_since="2026-03-02")
    return estate


@pytest.fixture
def elin() -> Actor:
    return make_member(Organisation.objects.get(number=TENANT))


def test_customer_staff_and_partner_of_record_read_it_on_the_page(marked: Path, elin: Actor) -> None:
    amira = make_member(Organisation.objects.get(number=PARTNER))
    for reader, page in ((elin, "c"), (make_staff(), "a"), (amira, "p")):
        text = signed_in(reader).get(f"/{page}/subscriptions/{OURS[0]}/").text
        assert f"{WORDS} 2 Mar 2026" in text
        assert "Nothing ends because of that." in text
    assert WORDS not in signed_in(elin).get(f"/c/subscriptions/{OURS[1]}/").text
    past = signed_in(elin).get(f"/c/subscriptions/{OURS[0]}/?as_of=2026-03-01").text
    assert WORDS not in past, "by then it was not so"
    assert WORDS in signed_in(elin).get(f"/c/subscriptions/{OURS[0]}/?as_of=2026-03-02").text


def test_customer_and_staff_have_a_list_of_them(marked: Path, elin: Actor) -> None:
    for reader, page in ((elin, "c"), (make_staff(), "a")):
        shown = signed_in(reader).get(f"/{page}/subscriptions/?view=missing")
        assert [str(row.subscription.subscription_id) for row in shown.context["rows"]] == OURS[:1]
        assert f"{WORDS} 2 Mar 2026" in shown.text
        past = signed_in(reader).get(f"/{page}/subscriptions/?view=missing&as_of=2026-03-01")
        assert past.context["rows"] == []


def test_api_and_files_have_the_day(marked: Path, elin: Actor) -> None:
    shown = {one["id"]: one["missing_since"] for one in Api(elin).get("subscriptions/").json()["results"]}
    assert shown == {OURS[0]: "2026-03-02", **dict.fromkeys(OURS[1:])}
    assert Api(elin).get(f"subscriptions/{OURS[0]}/", {"as_of": "2026-03-01"}).json()["missing_since"] is None
    text = "".join(part.decode() for part in signed_in(elin).get("/c/subscriptions/?format=csv").streaming_content)
    listed = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert {one["subscription_id"]: one["missing_since"] for one in listed} == {
        OURS[0]: "2026-03-02",
        **dict.fromkeys(OURS[1:], ""),
    }


def test_former_partner_does_not_read_it(marked: Path) -> None:
    load_one(marked, "associations", association(subscription_id=OURS[0], ended_on="2025-01-01"))
    amira = make_member(Organisation.objects.get(number=PARTNER))
    assert "Nothing ends because of that." not in signed_in(amira).get(f"/p/subscriptions/{OURS[0]}/").text
    assert WORDS not in signed_in(amira).get("/p/subscriptions/?view=former").text
    assert [one["missing_since"] for one in Api(amira).get("subscriptions/").json()["results"]] == [None]


def test_history_says_since_when(marked: Path, elin: Actor) -> None:
    text = signed_in(elin).get(f"/c/subscriptions/{OURS[0]}/history/").text
    assert f"{WORDS}: – → {timezone.now():%-d %b %Y}" in text
