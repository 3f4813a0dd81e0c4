"""Everything that is due at some time, for the one task that comes round every minute."""

from __future__ import annotations

from associations.actions.changing import expire_and_remind
from associations.actions.inviting import expire_invitations
from associations.actions.legacy import remind_of_forms
from associations.actions.renewing import give_notice_of_renewals
from por.waiting import advisory_lock


def run_scheduled() -> int:
    """Do what is due, once, however late and however often this is called; return how much it was."""
    with advisory_lock("keep time") as mine:
        if not mine:
            return 0
        return expire_and_remind() + expire_invitations() + give_notice_of_renewals() + remind_of_forms()
