"""The first mail to somebody new on the staff: how to get in."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from por.accounts.models import Membership, User
from por.accounts.rules import Kind, Role
from por.history.models import Event
from por.notifications.actions import inform
from por.notifications.emails import message


def facts(event: Event) -> dict[str, Any]:
    """The link is made when the mail is: it stands in no row, and its time runs from the sending."""
    person = User.objects.get(pk=event.object_id)
    link = {"uidb36": user_pk_to_url_str(person), "key": default_token_generator.make_token(person)}
    days = settings.PASSWORD_RESET_TIMEOUT // (24 * 3600)
    return {
        "person": person.name,
        "valid": ngettext("%(n)s day", "%(n)s days", days) % {"n": days},
        "rows": [(_("Sign in as"), person.email), (_("Role"), Role(event.changes["role"]).label)],
        "url": reverse("account_reset_password_from_key", kwargs=link),
        "action": _("Choose a password"),
    }


WELCOME = message(
    "staff_welcome", None, facts, gettext_lazy("Welcome to the platform staff"), to=(Kind.STAFF,), inbox=False
)


def welcome(event: Event) -> None:
    """To a member who has no password yet; the others have a way in."""
    members = Membership.objects.filter(user=int(event.object_id), organisation=event.actor_organisation_id)
    member = members.select_related("user").first()
    if member is not None and not member.user.has_usable_password():
        inform(event, WELCOME, user_id=member.user_id, organisation_id=member.organisation_id)
