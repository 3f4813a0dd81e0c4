"""The first mail to a new member of platform staff: how to sign in."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from por.accounts.adapter import password_link
from por.accounts.events import PeopleEvent
from por.accounts.models import Membership, User
from por.accounts.rules import OrganisationKind, Role
from por.history.events import add_mails
from por.history.models import Event
from por.notifications.actions.notifying import notify_member
from por.notifications.messages import MailContext, mail


class WelcomeContext(MailContext):
    person: str
    valid: str


def _context(event: Event) -> WelcomeContext:
    person = User.objects.get(pk=event.object_id)
    days = settings.PASSWORD_RESET_TIMEOUT // (24 * 3600)
    return {
        "person": person.name,
        "valid": ngettext("%(n)s day", "%(n)s days", days) % {"n": days},
        "rows": [(_("Sign in as"), person.email), (_("Role"), str(Role(event.changes["role"]).label))],
    }


def _choose_a_password(event: Event) -> str:
    """Return a link, created when the mail is composed, so that no row has it and its time starts with the sending."""
    return password_link(User.objects.get(pk=event.object_id))


WELCOME = mail(
    "staff_welcome",
    None,
    to=(OrganisationKind.STAFF,),
    title=gettext_lazy("Welcome to the platform staff"),
    subject=gettext_lazy("You are now on the platform staff of %(organisation)s"),
    paragraphs=(
        gettext_lazy(
            "%(person)s, you have been added to the platform staff of %(organisation)s. Choose a password to sign in "
            "for the first time."
        ),
        gettext_lazy(
            "The link works once and expires after %(valid)s. After that, request a new link on the sign-in page."
        ),
    ),
    context=_context,
    action=gettext_lazy("Choose a password"),
    url=_choose_a_password,
    inbox=None,
)


def welcome(event: Event) -> None:
    """Send the mail to the new member, if they have no password yet."""
    members = Membership.objects.filter(user=int(event.object_id), organisation__kind=OrganisationKind.STAFF)
    member = members.select_related("user").first()
    if member is not None and not member.user.has_usable_password():
        notify_member(event, WELCOME, user_id=member.user_id, organisation_id=member.organisation_id)


for added in (PeopleEvent.ADDED, PeopleEvent.ADDED_BY_COMMAND):
    add_mails(added, mails=(WELCOME,), notify=welcome)
