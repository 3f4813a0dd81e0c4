"""Changes to how the library signs people in."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.core.mail import EmailMessage
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from por.accounts.middleware import Request


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # the library has no types
    """The adapter of the library. No one signs up, because administrators add people."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": _("The email address or password is incorrect. Check them and try again."),
    }

    def is_open_for_signup(self, request: Request) -> bool:
        return False

    def render_mail(self, template_prefix: str, email: str, context: dict[str, Any], *args: Any) -> EmailMessage:
        """Render a mail in the language of its recipient, who may not be the person who asked for it."""
        with override(context["user"].language):
            message: EmailMessage = super().render_mail(template_prefix, email, context, *args)
            return message
