"""Days around midnight: today is the reader's, and a day that is given is that day for everyone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions.activation import StatedConsent, activate
from associations.change_requests.models import ChangeRequest
from associations.invitations import actions as invitations
from associations.invitations.models import Invitation
from associations.record import locking
from associations.record.models import Association
from por.accounts.models import Actor
from por.accounts.zones import day_in
from por.directory.models import Customer, Partner, Subscription
from por.errors import Refused
from por.history.actions.relaying import relay
from por.history.models import Outbox
from por.notifications.actions.delivering import deliver
from por.notifications.models import Delivery
from por.web import formatting
from tests.api import Api
from tests.factories import make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

pytestmark = pytest.mark.usefixtures("any_time")

#: Late in the evening of 28 November in UTC, and early on the 29th: in each zone, the day that it is there.
EVENING = datetime(2026, 11, 28, 23, 0, tzinfo=UTC)
MORNING = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
MOMENTS = [
    (EVENING, "Europe/Stockholm", date(2026, 11, 29)),
    (EVENING, "Pacific/Auckland", date(2026, 11, 29)),
    (EVENING, "America/New_York", date(2026, 11, 28)),
    (MORNING, "Europe/Stockholm", date(2026, 11, 29)),
    (MORNING, "America/New_York", date(2026, 11, 28)),
    (MORNING, "Pacific/Honolulu", date(2026, 11, 28)),
]
ZONES = ["Europe/Stockholm", "America/New_York", "Pacific/Auckland", "Pacific/Honolulu"]
DAY = timedelta(days=1)

Clock = Callable[[datetime], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a function that stops the clock of the product at an instant."""

    def stop(now: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: now)

    return stop


def reader_in(of: Customer | Partner, zone: str) -> Actor:
    """Return a member of the organisation, which is in this zone from now on."""
    of.organisation.time_zone = zone
    of.organisation.save()
    return make_member(of.organisation)


def tell() -> None:
    """Send the mail of all that was done. The clock of the database, which nothing stops, has said when it is due."""
    Outbox.objects.update(next_at=timezone.now())
    relay()
    Delivery.objects.update(next_at=timezone.now())
    deliver()


def days_on(page: str) -> set[str]:
    """Return the days of this year and the last one that a page shows, as machines read them."""
    return {day for day in re.findall(r'datetime="(\d{4}-\d\d-\d\d)', page) if "2025-11-01" <= day < "2027"}


def put(actor: Actor, subscription: Subscription, partner: Partner, began_on: date | None = None):
    body = {"mpn_id": partner.mpn_id} | ({"began_on": began_on.isoformat()} if began_on else {})
    return Api(actor).put(f"subscriptions/{subscription.subscription_id}/partner-of-record/", body, If_Match="*")


# --- Today ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "zone", "today"), MOMENTS)
def test_who_enters_today_means_now(clock, customer, subscription, partner, now, zone, today):
    clock(now)
    admin = reader_in(customer, zone)

    refused = put(admin, subscription, partner, today + DAY)
    answer = put(admin, subscription, partner, today)
    again = put(admin, subscription, partner, today)

    assert (refused.status_code, refused.json()["code"]) == (422, "began_on_in_future")
    assert (answer.status_code, again.status_code) == (201, 200)
    assert Association.objects.get().began_at == now
    assert answer.json() == again.json()


@pytest.mark.parametrize(("now", "zone", "today"), MOMENTS)
def test_page_shows_one_day_for_one_moment(clock, customer, subscription, partner, now, zone, today):
    clock(now)
    admin = reader_in(customer, zone)
    page = f"/c/subscriptions/{subscription.subscription_id}/"
    web = signed_in(admin)

    web.post(f"{page}attach/", {"mpn_id": partner.mpn_id, "version": 1, "began_on": today.isoformat(), "note": ""})

    shown = web.get(page).text
    assert "Nordvik Cloud AB" in shown
    assert days_on(shown) == {today.isoformat()}
    assert days_on(web.get("/c/subscriptions/").text) <= {today.isoformat()}


def test_today_does_not_contest_the_past(clock, customer, subscription, partner, admin):
    clock(EVENING)
    attaching.attach(subscription.subscription_id, make_partner("Halden Konsult AB").mpn_id, by=admin)

    assert put(admin, subscription, partner, date(2026, 11, 29)).status_code == 202


@pytest.mark.parametrize(("now", "zone", "today"), MOMENTS)
def test_record_of_the_readers_today_is_that_of_now(clock, customer, subscription, partner, now, zone, today):
    clock(now)
    admin = reader_in(customer, zone)
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    api, web = Api(admin), signed_in(admin)

    assert api.get("subscriptions/", {"as_of": str(today)}).json() == api.get("subscriptions/").json()
    assert api.get("subscriptions/", {"as_of": str(today + DAY)}).json()["code"] == "as_of_in_future"
    assert "Nordvik Cloud AB" in web.get(f"/c/subscriptions/?as_of={today}").text


@pytest.mark.parametrize(("now", "zone", "today"), MOMENTS)
def test_renewals_within_90_days_are_counted_from_the_readers_today(clock, customer, now, zone, today):
    clock(now)
    make_subscription(customer, renews_on=today + 90 * DAY)
    make_subscription(customer, renews_on=today)
    for too_far in (today + 91 * DAY, today - DAY):
        make_subscription(customer, renews_on=too_far)
    web = signed_in(reader_in(customer, zone))

    assert "2 subscriptions renew within 90 days" in web.get("/c/").text
    shown = web.get("/c/subscriptions/?view=renewing").text
    assert "today" in shown
    assert "in 90 days" in shown


def test_kept_figures_do_not_mix_the_days_of_readers(clock, customer, partner, admin):
    clock(EVENING)
    subscription = make_subscription(customer, renews_on=date(2026, 11, 28))
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    here = make_member(partner.organisation, time_zone="America/New_York")
    there = make_member(partner.organisation, time_zone="Pacific/Auckland")

    def renewing(reader: Actor) -> tuple[int, str]:
        home = signed_in(reader).get("/p/")
        tab = re.search(r"view=renewing\"[^>]*>.*?</a>", signed_in(reader).get("/p/subscriptions/").text, re.DOTALL)
        assert tab
        return home.context["counts"]["renewing"], re.sub(r"<[^>]*>|\D", "", tab[0].replace("90", ""))

    assert [renewing(here), renewing(there), renewing(here)] == [(1, "1"), (0, "0"), (1, "1")]


def test_events_of_today_are_those_of_the_readers_day(clock, customer, subscription, partner, admin):
    staff = make_staff("support")
    staff.organisation.time_zone = "Pacific/Auckland"
    staff.organisation.save()
    clock(datetime(2026, 11, 28, 10, 59, tzinfo=UTC))  # a minute before midnight in Auckland
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    clock(EVENING)
    attaching.remove(subscription.subscription_id, by=admin)
    web = signed_in(staff)

    assert web.get("/a/").context["events_today"] == 1
    assert days_on(web.get("/a/history/?since=2026-11-29").text) == {"2026-11-29"}
    assert days_on(web.get("/a/history/?until=2026-11-28").text) == {"2026-11-28"}


def test_file_is_named_after_the_readers_day(clock, customer, subscription):
    clock(EVENING)
    answer = signed_in(reader_in(customer, "Pacific/Auckland")).get("/c/subscriptions/?format=csv")

    assert "2026-11-29.csv" in answer["Content-Disposition"]


# --- Days that are given --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("now", [EVENING, MORNING])
def test_start_given_as_a_day_is_that_day_for_every_reader(clock, customer, subscription, partner, admin, now, zone):
    clock(now)
    given = date(2026, 11, 3)
    assert put(admin, subscription, partner, given).json()["association"]["began_on"] == "2026-11-03"
    today = day_in(zone, now).isoformat()
    customers, partners = reader_in(customer, zone), reader_in(partner, zone)
    pages = [
        (customers, f"/c/subscriptions/{subscription.subscription_id}/"),
        (customers, "/c/subscriptions/"),
        (customers, "/c/"),
        (partners, f"/p/subscriptions/{subscription.subscription_id}/"),
        (partners, "/p/subscriptions/"),
        (partners, f"/p/customers/{customer.tenant_id}/"),
    ]

    for reader, path in pages:
        assert days_on(signed_in(reader).get(path).text) <= {"2026-11-03", today}, path


@pytest.mark.parametrize("zone", ZONES)
def test_mail_says_the_given_day(clock, subscription, partner, admin, zone, arrived):
    clock(EVENING)
    reader_in(partner, zone)
    put(admin, subscription, partner, date(2026, 11, 3))

    clock(datetime.now(UTC) + DAY)  # the database says when a row is due
    told = arrived()
    assert len(told) == 2
    for text in (one.body for one in told.values()):
        assert "3 Nov 2026" in text
        assert "2 Nov" not in text
        assert "3 Nov 2026, " not in text


@pytest.mark.parametrize("zone", ZONES)
def test_consent_is_given_on_the_readers_today(clock, partner, zone):
    clock(EVENING)
    form = signed_in(reader_in(partner, zone)).get("/p/activate/")

    assert form.context["form"].fields["consent"].initial == day_in(zone, EVENING)


def test_no_verb_uses_the_instant_that_stands_for_a_day(clock, customer, subscription, partner, admin):
    clock(datetime(2026, 11, 28, tzinfo=UTC))

    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)

    assert Association.objects.get().began_at == datetime(2026, 11, 28, tzinfo=UTC) + locking.TICK
    assert not formatting.is_day(Association.objects.get().began_at)


def test_day_after_the_readers_today_is_refused_for_a_consent(clock, customer, partner):
    clock(EVENING)
    amira = reader_in(partner, "America/New_York")
    old = make_subscription(customer, agreement="OPEN")
    with pytest.raises(Refused) as caught:
        activate(
            old.subscription_id,
            partner.mpn_id,
            StatedConsent("Elin", "elin@example.com", date(2026, 11, 29)),
            by=amira,
        )

    assert caught.value.code == "consent_in_future"


# --- Deadlines ------------------------------------------------------------------------------------------------------

#: Ten business days after 27 November 2026.
LAST = "Friday 11 December"


@pytest.fixture
def asked(clock, customer, subscription, partner, admin) -> Partner:
    """Return the partner that was proposed beside another one, at noon of Friday 27 November in New York."""
    customer.organisation.time_zone = "America/New_York"
    customer.organisation.save()
    clock(datetime(2026, 11, 27, 17, tzinfo=UTC))
    halden = make_partner("Halden Konsult AB")
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    attaching.attach(subscription.subscription_id, halden.mpn_id, by=admin)
    return halden


def test_deadline_is_the_end_of_a_day_in_the_zone_of_the_customer(asked, admin):
    request = ChangeRequest.objects.get()

    assert request.due_on == date(2026, 12, 11)
    assert request.due_at == datetime(2026, 12, 12, 5, tzinfo=UTC)
    assert Api(admin).get(f"change-requests/{request.pk}/").json()["due_at"] == "2026-12-12T05:00:00Z"


@pytest.mark.parametrize("zone", ZONES)
def test_deadline_is_said_as_that_day_to_every_reader_and_whose_it_is(asked, customer, subscription, partner, zone):
    pk = ChangeRequest.objects.get().pk
    admin = make_member(customer.organisation, time_zone=zone)
    nordvik = make_member(partner.organisation, time_zone=zone)
    pages = [
        (admin, "/c/"),
        (admin, "/c/change-requests/"),
        (admin, f"/c/change-requests/{pk}/"),
        (admin, f"/c/subscriptions/{subscription.subscription_id}/"),
        (nordvik, "/p/"),
        (nordvik, "/p/change-requests/"),
        (nordvik, f"/p/change-requests/{pk}/"),
        (nordvik, f"/p/subscriptions/{subscription.subscription_id}/"),
    ]

    hint = " (customer’s time zone)" if zone != "America/New_York" else ""
    for reader, path in pages:
        text = signed_in(reader).get(path).text
        assert f'<time datetime="2026-12-11">{LAST}{hint}</time>' in text, path
        assert not days_on(text) & {"2026-12-10", "2026-12-12"}, path


@pytest.mark.parametrize(
    ("language", "subject", "said", "hint"),
    [
        (
            "en",
            "Answer by the end of Friday 11 December",
            "If no one answers by the end of Friday 11 December",
            " (customer’s time zone)",
        ),
        ("sv", "Ert svar senast fredag 11 december", "Utan svar senast fredag 11 december", " (kundens tidszon)"),
    ],
)
@pytest.mark.parametrize("zone", ZONES)
def test_mail_says_the_deadline_as_a_day_and_whose_it_is(
    clock, asked, customer, mailoutbox, zone, language, subject, said, hint
):
    own = hint if zone != "America/New_York" else ""
    reader = make_member(customer.organisation, time_zone=zone, language=language)

    tell()

    (mail,) = [one for one in mailoutbox if one.to == [reader.user.email]]
    assert mail.subject.endswith(subject + own)
    assert f"{said}{own}" in mail.body


def test_page_says_the_deadline_before_the_request_is_opened(clock, customer, subscription, partner, admin):
    clock(EVENING)  # Sunday in Auckland, Saturday in New York: both are followed by the same business days
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    halden = make_partner("Halden Konsult AB")

    page = signed_in(admin).post(
        f"/c/subscriptions/{subscription.subscription_id}/check/", {"mpn_id": halden.mpn_id}, follow=True
    )

    assert f'You have until the end of <time datetime="2026-12-11">{LAST}</time> to answer' in page.text


def test_migration_lets_open_requests_end_with_their_day_where_the_customer_is(asked):
    before = datetime(2026, 12, 12, tzinfo=UTC)
    ChangeRequest.objects.update(due_at=before, due_on=None)
    assert ChangeRequest.objects.get().deadline.day == date(2026, 12, 11)

    import_module("associations.migrations.0020_last_days").set_last_days(apps, None)

    request = ChangeRequest.objects.get()
    assert (request.due_on, request.due_at) == (date(2026, 12, 11), datetime(2026, 12, 12, 5, tzinfo=UTC))


# --- Invitations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "zone", "ends_at"),
    [
        (EVENING, "Europe/Stockholm", datetime(2026, 12, 29, 23, tzinfo=UTC)),
        (EVENING, "America/New_York", datetime(2026, 12, 29, 5, tzinfo=UTC)),
        (EVENING, "Pacific/Auckland", datetime(2026, 12, 29, 11, tzinfo=UTC)),
    ],
)
def test_invitation_ends_with_a_day_where_the_customer_is(clock, customer, subscription, amira, now, zone, ends_at):
    reader = reader_in(customer, zone)
    clock(now)
    sent = invitations.invite(customer.tenant_id, [subscription.subscription_id], by=amira)
    assert (sent.expires_on, sent.expires_at) == (day_in(zone, now) + 30 * DAY, ends_at)

    said = formatting._date(sent.expires_on, "EEEE d MMMM", "en")
    page = f"/c/invitations/{sent.invitation_id}/"
    clock(ends_at - timedelta(microseconds=1))
    assert f'until the end of <time datetime="{sent.expires_on}">{said}</time>' in signed_in(reader).get(page).text
    clock(ends_at)
    assert "until the end of" not in signed_in(reader).get(page).text
    with pytest.raises(Refused, match="expired"):
        invitations.accept(sent.invitation_id, [subscription.subscription_id], by=reader)


def test_reader_whose_day_ends_at_another_instant_is_told_whose_day_it_is(clock, customer, subscription, amira):
    reader_in(customer, "America/New_York")
    partner = amira.organisation.partner
    clock(EVENING)
    sent = invitations.invite(customer.tenant_id, [subscription.subscription_id], by=amira)
    said = '<time datetime="2026-12-28">Monday 28 December%s</time>'
    for zone, hint in (("America/New_York", ""), ("America/Toronto", ""), ("Asia/Tokyo", " (customer’s time zone)")):
        page = signed_in(reader_in(partner, zone)).get(f"/p/invitations/{sent.invitation_id}/").text
        assert said % hint in page


@pytest.mark.parametrize("language", ["en", "sv"])
def test_mail_of_an_invitation_says_its_last_day(clock, customer, subscription, amira, mailoutbox, language):
    reader = reader_in(customer, "Europe/Stockholm")
    reader.user.language = language
    reader.user.save()
    clock(EVENING)
    invitations.invite(customer.tenant_id, [subscription.subscription_id], by=amira)

    tell()

    (mail,) = [one for one in mailoutbox if one.to == [reader.user.email]]
    said = {"en": "by the end of Tuesday 29 December", "sv": "senast tisdag 29 december"}[language]
    assert mail.subject.endswith(said)
    until = {"en": "until the end of Tuesday 29 December.", "sv": "till och med tisdag 29 december."}[language]
    assert until in mail.body


def test_migration_lets_open_invitations_end_with_their_day_where_the_customer_is(customer, subscription, amira):
    reader_in(customer, "America/New_York")
    invitations.invite(customer.tenant_id, [subscription.subscription_id], by=amira)
    Invitation.objects.update(expires_at=datetime(2026, 12, 12, 9, 41, tzinfo=UTC), expires_on=None)
    assert Invitation.objects.get().deadline.day == date(2026, 12, 12)

    import_module("associations.migrations.0029_days_of_invitations").set_last_days(apps, None)

    invitation = Invitation.objects.get()
    assert (invitation.expires_on, invitation.expires_at) == (date(2026, 12, 12), datetime(2026, 12, 13, 5, tzinfo=UTC))
