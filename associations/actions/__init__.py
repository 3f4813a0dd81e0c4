"""Becoming and ceasing to be of record: the only writers of associations.

Each verb goes down the same spine: lock the subscription, take the time, check, write, record.
"""

from associations.actions.changing import answer as answer
from associations.actions.changing import cancel_overtaken as cancel_overtaken
from associations.actions.changing import forward as forward
from associations.actions.changing import keep_time as keep_time
from associations.actions.changing import state as state
from associations.actions.outside import end_from_outside as end_from_outside
from associations.actions.outside import end_reason_from_outside as end_reason_from_outside
from associations.actions.record import LastChange as LastChange
from associations.actions.record import attach as attach
from associations.actions.record import last_change as last_change
from associations.actions.record import remove as remove
from associations.actions.record import undo as undo
from associations.actions.unit import record_of as record_of
from associations.actions.unit import requests_of as requests_of
