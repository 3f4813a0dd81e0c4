"""Becoming and ceasing to be of record: the only writers of associations.

Each verb goes down the same spine: lock the subscription, take the time, check, write, record.
"""

from associations.actions.activating import Given as Given
from associations.actions.activating import activate as activate
from associations.actions.activating import attach_sellers as attach_sellers
from associations.actions.bulk import run_jobs as run_jobs
from associations.actions.changing import answer as answer
from associations.actions.changing import cancel_overtaken as cancel_overtaken
from associations.actions.changing import forward as forward
from associations.actions.changing import keep_questions as keep_questions
from associations.actions.changing import state as state
from associations.actions.inviting import accept as accept
from associations.actions.inviting import decline as decline
from associations.actions.inviting import expire_invitations as expire_invitations
from associations.actions.inviting import invite as invite
from associations.actions.inviting import note_opened as note_opened
from associations.actions.inviting import report as report
from associations.actions.inviting import revoke as revoke
from associations.actions.legacy import remind_of_forms as remind_of_forms
from associations.actions.outside import end_from_outside as end_from_outside
from associations.actions.outside import end_reason_from_outside as end_reason_from_outside
from associations.actions.record import Attached as Attached
from associations.actions.record import LastChange as LastChange
from associations.actions.record import attach as attach
from associations.actions.record import last_change as last_change
from associations.actions.record import remove as remove
from associations.actions.record import undo as undo
from associations.actions.renewing import follow_replacements as follow_replacements
from associations.actions.renewing import give_notice_of_renewals as give_notice_of_renewals
from associations.actions.unit import record_of as record_of
from associations.actions.unit import requests_of as requests_of
from por.waiting import alone


def keep_time() -> int:
    """What is due by the clock: done once, however late and however often this is called; returns how much it was."""
    with alone("keep time") as mine:
        if not mine:
            return 0
        return keep_questions() + expire_invitations() + give_notice_of_renewals() + remind_of_forms()
