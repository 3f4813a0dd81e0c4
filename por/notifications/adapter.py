"""The mails of signing in: they go through the queue of deliveries, so that no request waits for a mail server."""

from __future__ import annotations

from typing import Any

from por.accounts import adapter
from por.notifications.passwords import send_password_link


class Adapter(adapter.Adapter):
    def send_password_link(self, email: str) -> None:
        send_password_link(email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Refuse the library's own mails, which it would send within the request. The settings turn all of them off."""
        raise NotImplementedError(f"{template_prefix} has no delivery")
