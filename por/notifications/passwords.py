"""The mail with a link to choose a new password."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext_lazy, ngettext

from por.accounts.adapter import password_link
from por.notifications.actions.notifying import notify_address
from por.notifications.messages import MailContext, mail
from por.notifications.models import Delivery


class PasswordContext(MailContext):
    valid: str


def _context(delivery: Delivery) -> PasswordContext:
    days = settings.PASSWORD_RESET_TIMEOUT // (24 * 3600)
    return {"valid": ngettext("%(n)s day", "%(n)s days", days) % {"n": days}, "rows": []}


def _link(delivery: Delivery) -> str:
    """Return the link, created when the mail is composed: no row has it, and its time starts with the sending."""
    assert delivery.user is not None  # else there is no mail
    return password_link(delivery.user)


PASSWORD = mail(
    "password_reset",
    None,
    to=(),
    title=gettext_lazy("New password"),
    subject=gettext_lazy("Choose a new password"),
    paragraphs=(
        gettext_lazy("Someone asked for a new password for this email address. If it was you, choose one now."),
        gettext_lazy(
            "The link works once and expires after %(valid)s. After that, request a new link on the sign-in page."
        ),
        gettext_lazy("If it was not you, ignore this email. Your password stays the same."),
    ),
    context=_context,
    action=gettext_lazy("Choose a new password"),
    url=_link,
    inbox=None,
)


def send_password_link(email: str) -> None:
    """Queue the mail for whoever has this address."""
    notify_address(PASSWORD, email)
