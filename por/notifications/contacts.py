"""The mails to whom a file makes an administrator as the contact, and to whom it no longer names."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from por.accounts.adapter import password_link
from por.accounts.events import PeopleEvent
from por.accounts.models import User
from por.accounts.rules import OrganisationKind
from por.history.actions.recording import organisation_of
from por.history.events import add_mails
from por.history.models import Event
from por.notifications.actions.notifying import notify_former_member, notify_member
from por.notifications.messages import MailContext, mail

BOTH = (OrganisationKind.PARTNER, OrganisationKind.CUSTOMER)


class ContactContext(MailContext):
    person: str
    valid: str


class FormerContext(MailContext):
    person: str
    former: bool


def _context(event: Event) -> ContactContext:
    person, days = User.objects.get(pk=event.object_id), settings.PASSWORD_RESET_TIMEOUT // (24 * 3600)
    valid = ngettext("%(n)s day", "%(n)s days", days) % {"n": days}
    return {"person": person.name, "valid": valid, "rows": [(_("Sign in as"), person.email)]}


def _former(event: Event) -> FormerContext:
    return {"person": event.object_name, "former": True, "rows": []}


def _choose_a_password(event: Event) -> str:
    """Return a link, created when the mail is composed, so that no row has it and its time starts with the sending."""
    return password_link(User.objects.get(pk=event.object_id))


def _sign_in(event: Event) -> str:
    return reverse("account_login")


NAMED = gettext_lazy(
    "%(person)s, imported files name you as the contact of %(organisation)s. So you are an administrator of "
    "%(organisation)s here: you can do everything for it, and are told what concerns it."
)
WELCOME_CONTACT = mail(
    "contact_welcome",
    None,
    to=BOTH,
    title=gettext_lazy("Welcome, as the contact that files name"),
    subject=gettext_lazy("You are now an administrator of %(organisation)s"),
    paragraphs=(
        NAMED,
        gettext_lazy("Choose a password to sign in for the first time."),
        gettext_lazy(
            "The link works once and expires after %(valid)s. After that, request a new link on the sign-in page."
        ),
    ),
    context=_context,
    action=gettext_lazy("Choose a password"),
    url=_choose_a_password,
    inbox=None,
)
NEW_CONTACT = mail(
    "contact_added",
    None,
    to=BOTH,
    title=gettext_lazy("Named as a contact"),
    subject=gettext_lazy("You are now an administrator of %(organisation)s"),
    paragraphs=(NAMED,),
    context=_context,
    action=gettext_lazy("Sign in"),
    url=_sign_in,
    inbox=None,
)
FORMER_CONTACT = mail(
    "contact_removed",
    None,
    to=BOTH,
    title=gettext_lazy("No longer named as a contact"),
    subject=gettext_lazy("You are no longer an administrator of %(organisation)s"),
    paragraphs=(
        gettext_lazy(
            "%(person)s, imported files name another contact of %(organisation)s. You were an administrator because an "
            "earlier file had named you. Ask %(organisation)s if this is not right."
        ),
    ),
    context=_former,
    action=gettext_lazy("Sign in"),
    url=_sign_in,
    inbox=None,
)


def _welcome(event: Event) -> None:
    """Send the mail to the new administrator, with a link to choose a password if they have none yet."""
    person = User.objects.filter(pk=int(event.object_id)).first()
    organisation_id = organisation_of(event.chain)
    if person is not None and organisation_id is not None:
        message = NEW_CONTACT if person.has_usable_password() else WELCOME_CONTACT
        notify_member(event, message, user_id=person.pk, organisation_id=organisation_id)


def _tell_former(event: Event) -> None:
    organisation_id = organisation_of(event.chain)
    if organisation_id is not None:
        notify_former_member(event, FORMER_CONTACT, user_id=int(event.object_id), organisation_id=organisation_id)


add_mails(PeopleEvent.ADDED_BY_FILE, mails=(WELCOME_CONTACT, NEW_CONTACT), notify=_welcome)
add_mails(PeopleEvent.REMOVED_BY_FILE, mails=(FORMER_CONTACT,), notify=_tell_former)
