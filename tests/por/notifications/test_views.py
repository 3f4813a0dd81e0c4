"""The page of mail preferences, and the pages of the demo's mail sink."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.test import Client
from django.utils.translation import gettext_lazy

from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.models import Partner
from por.history.models import Event
from por.notifications import messages, queries
from por.notifications.actions import notifying
from por.notifications.actions.notifying import Notice
from por.notifications.forms import AS_TOPIC
from por.notifications.models import How, Preference, Topic
from por.notifications.views import MAILS_ON_A_PAGE
from tests.associations.change_requests.test_views import text_of
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.pages import packed, signed_in

CHOOSE = "/me/mail/"
SINK = "/a/mail/"


# --- Choosing ---------------------------------------------------------------------------------------------------


def test_by_default_all_mail_is_immediate_and_each_kind_of_organisation_has_its_own(partner, customer):
    page = signed_in(make_member(partner.organisation)).get(CHOOSE)
    fields = page.context["form"].fields
    topics = {name: field.initial for name, field in fields.items() if name.startswith("topic_")}
    assert {name.rpartition("-")[0] for name in topics} == {
        topic.key for topic, _mails in messages.choosable("partner")
    }
    assert {Topic.RECORD.key, Topic.CLAIM.key} < {name.rpartition("-")[0] for name in topics}
    assert set(topics.values()) == {How.AT_ONCE}
    assert {field.initial for name, field in fields.items() if name not in topics} == {AS_TOPIC}
    assert any(name.startswith("record_attached-") for name in fields)
    assert not any(name.startswith("record_attached_receipt-") for name in fields)
    theirs = signed_in(make_member(customer.organisation)).get(CHOOSE).context["form"].fields
    assert any(name.startswith("record_attached_receipt-") for name in theirs)
    assert not any(name.startswith("record_attached-") for name in theirs)


def test_choice_is_saved_and_choices_that_are_left_out_do_not_change(partner):
    member = make_member(partner.organisation)
    client, key = signed_in(member), member.user.memberships.get().pk
    page = client.post(CHOOSE, {f"record_attached-{key}": "digest", f"record_removed-{key}": "off"}, follow=True)
    assert "Saved." in page.content.decode()
    assert page.content.count(b"selected") == len(page.context["form"].fields)
    client.post(CHOOSE, {f"record_removed-{key}": "at_once"})
    assert dict(Preference.objects.values_list("message", "how")) == {
        "record_attached": "digest",
        "record_removed": "at_once",
    }


def form_of(client: Client) -> dict[str, str]:
    """Return what the form sends if its reader changes nothing."""
    form = client.get(CHOOSE).context["form"]
    return {name: form[name].value() for name in form.fields}


def test_one_choice_for_a_topic_holds_for_all_its_messages_and_for_those_to_come(partner):
    member = make_member(partner.organisation)
    client, key = signed_in(member), member.user.memberships.get().pk

    client.post(CHOOSE, form_of(client) | {f"topic_record-{key}": "digest"})

    chosen = dict(Preference.objects.values_list("message", "how"))
    assert chosen["topic_record"] == chosen["record_attached"] == chosen["record_removed"] == "digest"
    assert {how for message, how in chosen.items() if message.startswith("change")} == {"at_once"}
    assert form_of(client)[f"record_attached-{key}"] == AS_TOPIC
    Preference.objects.filter(message="record_attached").delete()  # as if that kind were new
    assert wants(partner, "record_attached") == How.DIGEST


def test_message_may_differ_from_its_topic(partner):
    member = make_member(partner.organisation)
    client, key = signed_in(member), member.user.memberships.get().pk

    assert '<details class="more" open>' not in packed(client.get(CHOOSE).text)
    client.post(CHOOSE, form_of(client) | {f"topic_record-{key}": "off", f"record_removed-{key}": "at_once"})

    assert (wants(partner, "record_attached"), wants(partner, "record_removed")) == (How.OFF, How.AT_ONCE)
    assert '<details class="more" open>' in packed(client.get(CHOOSE).text)


@pytest.mark.parametrize("chosen", [{}, {"record_attached": "off"}, "every kind off", "every kind daily"])
def test_choices_from_before_there_were_topics_stay_what_they_were(partner, chosen):
    member = make_member(partner.organisation)
    client, key = signed_in(member), member.user.memberships.get()
    names = [name.rpartition("-")[0] for name in form_of(client) if not name.startswith("topic_")]
    if isinstance(chosen, str):
        chosen = dict.fromkeys(names, "off" if "off" in chosen else "digest")
    Preference.objects.bulk_create(Preference(membership=key, message=name, how=how) for name, how in chosen.items())
    before = {name: wants(partner, name) for name in names}

    client.post(CHOOSE, form_of(client))

    assert {name: wants(partner, name) for name in names} == before
    assert before == {name: How(chosen.get(name, "at_once")) for name in names}


def wants(partner: Partner, name: str) -> How:
    """Return how the only member of the partner gets this kind of mail."""
    notice = Notice(Event(), messages._mails[name], partner.pk)
    members = notifying._members([notice])
    return notifying._wanted(notice, members[partner.pk][0], notifying._choices([notice], members))


def test_unknown_choice_is_refused_and_nothing_is_saved(partner):
    member = make_member(partner.organisation)
    key = member.user.memberships.get().pk
    page = signed_in(member).post(CHOOSE, {f"record_attached-{key}": "weekly", f"record_removed-{key}": "off"})
    assert page.status_code == 422
    assert "There is a problem" in page.text
    assert not Preference.objects.exists()


def test_member_of_staff_chooses_how_to_get_a_message_to_staff(monkeypatch):
    monkeypatch.setattr(messages, "_mails", dict(messages._mails))
    messages.mail(
        "thing_to_staff",
        Topic.CLAIM,
        to=(OrganisationKind.STAFF,),
        title=gettext_lazy("Confirmation: claim submitted"),
        subject="",
        paragraphs=(),
        context=lambda event: {"rows": []},
        action=gettext_lazy("Open the claim"),
        url=lambda event: "/a/",
        inbox=None,
    )
    member = make_staff()
    client, organisation = signed_in(member), member.organisation
    assert organisation is not None
    key = member.user.memberships.get().pk
    assert f"thing_to_staff-{key}" in client.get(CHOOSE).context["form"].fields
    assert f"thing_to_staff-{key}" not in form_of(signed_in(make_member(make_partner().organisation)))

    client.post(CHOOSE, {f"topic_claim-{key}": "digest"})

    notice = Notice(Event(), messages._mails["thing_to_staff"], organisation.pk)
    (mine,) = [one for one in notifying._members([notice])[organisation.pk] if one.pk == key]
    assert notifying._wanted(notice, mine, notifying._choices([notice], {organisation.pk: [mine]})) == How.DIGEST


def test_choices_are_per_organisation_and_only_for_oneself():
    partner, customer = make_partner(), make_customer()
    colleague = make_member(partner.organisation).user.memberships.get()
    member = make_member(partner.organisation)
    customer.organisation.memberships.create(user=member.user, role="administrator")
    sent = {f"record_attached-{colleague.pk}": "off"}
    sent |= {f"record_ended_customer-{one.pk}": "off" for one in member.user.memberships.all()}
    signed_in(member).post(CHOOSE, sent)
    assert [one.membership.organisation for one in Preference.objects.all()] == [customer.organisation]


def test_mail_that_cannot_be_turned_off_is_listed():
    page = text_of(signed_in(make_staff()).get(CHOOSE))
    assert "A claim was assigned to you" in page
    assert "Always sent Welcome to the platform staff" in page


def test_preferences_require_signing_in():
    assert Client().get(CHOOSE).status_code == 302


# --- The sink ---------------------------------------------------------------------------------------------------


@pytest.fixture
def sink(tmp_path: Path, settings) -> Path:
    """Create the directory as the process of the sink does; return it."""
    settings.MAIL_SINK = str(tmp_path / "mail")
    mailbox.Maildir(settings.MAIL_SINK)
    return Path(settings.MAIL_SINK)


def drop(sink: Path, subject: str = "Grüße", text: str = "Hej på dig.", html: str = "") -> str:
    mail = EmailMessage()
    mail["Subject"], mail["To"], mail["From"] = subject, "maja@nordvik.example", "no-reply@por.example"
    mail["Date"], mail["X-Request-ID"] = "Tue, 24 Nov 2026 01:15:00 -0000", "request-4711"
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    return mailbox.Maildir(sink).add(mail)


@pytest.fixture
def reader() -> Actor:
    return make_staff("programme_administrator")


def test_newest_mail_is_listed_first(sink, web):
    for number in range(3):
        drop(sink, f"Mail number {number}")
    content = web.get(SINK).content.decode()
    assert content.index("Mail number 2") < content.index("Mail number 1") < content.index("Mail number 0")
    assert "maja@nordvik.example" in content


def test_mail_is_shown_with_its_headers_and_text(sink, web):
    key = drop(sink)
    content = web.get(f"{SINK}{key}/").content.decode()
    for part in ("Grüße", "Hej på dig.", "maja@nordvik.example", "request-4711", "02:15 (CET)"):
        assert part in content


def test_markup_in_a_mail_is_shown_as_its_source(sink, web):
    evil = "<script>alert(1)</script>"
    key = drop(sink, f"S {evil}", f"T {evil}", f"<p>H {evil}</p>")
    for url in (SINK, f"{SINK}{key}/"):
        assert evil not in web.get(url).content.decode()
    assert "&lt;p&gt;H &lt;script&gt;" in web.get(f"{SINK}{key}/").content.decode()


def test_malformed_mail_is_shown(sink, web):
    headers = b"Subject: =?utf-8?b?!!!?=\r\nDate: yesterday\r\nContent-Type: text/plain; charset=nonsense\r\n"
    key = mailbox.Maildir(sink).add(headers + b"\r\n\xff\xfe hello\r\n")
    assert web.get(SINK).status_code == 200
    assert "hello" in web.get(f"{SINK}{key}/").content.decode()


def test_list_has_pages_and_a_limit(sink, web, monkeypatch):
    monkeypatch.setattr(queries, "KEPT_IN_VIEW", MAILS_ON_A_PAGE + 2)
    for number in range(MAILS_ON_A_PAGE + 5):
        drop(sink, f"Mail number {number}.")
    first, second = web.get(SINK).content.decode(), web.get(SINK, {"page": 2}).content.decode()
    assert first.count("Mail number") == MAILS_ON_A_PAGE
    assert second.count("Mail number") == 2
    assert "Mail number 0." not in first + second


@pytest.mark.parametrize("key", ["nothing", "..", "..%2F..%2Fetc%2Fpasswd", "new"])
def test_missing_mail_is_not_found(sink, web, key):
    drop(sink)
    assert web.get(f"{SINK}{key}/").status_code == 404


@pytest.mark.parametrize("made", [True, False])
def test_empty_sink_has_a_text(sink, web, made):
    if not made:
        for folder in ("tmp", "new", "cur"):
            (sink / folder).rmdir()
        sink.rmdir()
    assert "No emails yet" in web.get(SINK).content.decode()


def test_outside_the_demo_the_sink_is_not_found(web, settings):
    settings.MAIL_SINK = ""
    assert web.get(SINK).status_code == 404
    assert web.get(f"{SINK}x/").status_code == 404


@pytest.mark.parametrize(
    ("role", "status"), [("programme_administrator", 200), ("auditor", 403), ("reviewer", 403), ("support", 403)]
)
def test_only_programme_administrators_read_the_sink(sink, role, status):
    """A mail may have a link to choose a new password, or one that accepts an invitation."""
    reader = signed_in(make_staff(role))
    assert reader.get(SINK).status_code == status
    assert reader.get(f"{SINK}{drop(sink)}/").status_code == status


def test_customers_and_partners_cannot_read_the_sink(sink, customer, partner):
    for organisation in (customer.organisation, partner.organisation):
        assert signed_in(make_member(organisation)).get(SINK).status_code == 403
