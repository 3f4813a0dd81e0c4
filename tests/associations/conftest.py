"""Fixtures that the tests of several features use."""

from __future__ import annotations

import pytest
from django.core.mail import EmailMessage

from por.history.actions import relaying
from por.notifications.actions.delivering import deliver


@pytest.fixture
def arrived(mailoutbox):
    """Return a function for the mails since its last call, by recipient. Each recipient has at most one."""

    def arrived() -> dict[str, EmailMessage]:
        mailoutbox.clear()
        relaying.relay()
        deliver()
        mails = {mail.to[0]: mail for mail in mailoutbox}
        assert len(mails) == len(mailoutbox)
        return mails

    return arrived
