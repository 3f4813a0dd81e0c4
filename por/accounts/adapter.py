"""Changes to how the library signs people in."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.utils import user_pk_to_url_str
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from por.accounts import devices, limits
from por.accounts.middleware import Request
from por.accounts.models import User
from por.ops.callers import address_of


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # the library has no types
    """The adapter of the library. No one signs up, because administrators add people."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": _("The email address or password is incorrect. Check them and try again."),
    }

    def authenticate(self, request: Request, **credentials: Any) -> User | None:
        """Return the person if the password is right. Raise RateLimited, and check nothing, after too many attempts."""
        attempt = limits.begin(request, credentials["email"])
        user: User | None = super().authenticate(request, **credentials)
        if user:
            attempt.succeeded()
        return user

    def post_login(self, request: Request, user: User, **about: Any) -> Any:
        response = super().post_login(request, user, **about)
        devices.remember(request, response, user)
        return response

    def is_open_for_signup(self, request: Request) -> bool:
        return False

    def is_safe_url(self, url: str) -> bool:
        """Return whether the address is one of ours; False for what is no address at all, such as `http://[`."""
        try:
            return bool(super().is_safe_url(url))
        except ValueError:
            return False

    def get_client_ip(self, request: Request) -> str:
        """Return the address of the caller. Only limits of the library ask for it; those of sign-in are our own."""
        if address := address_of(request.META):
            return address
        raise PermissionDenied("The request has no address.")


def password_link(person: User) -> str:
    """Return the path of a page where this person can choose a password. It works once, and its time starts now."""
    from allauth.account.forms import default_token_generator  # the forms need the adapter

    link = {"uidb36": user_pk_to_url_str(person), "key": default_token_generator.make_token(person)}
    return reverse("account_reset_password_from_key", kwargs=link)
