"""Why a verdict is as it is: closed lists of codes. Words for people are made from code and figures elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Why(StrEnum):
    """What is said of a test, a score or a level, with the names of its figures."""

    MET = "met"  #: {metric, need, have}
    SHORT_BY = "short_by"  #: {metric, need, have, short}: `short` more are needed
    NOT_MET = "not_met"  #: {metric, need, have}: a test that is not about having enough
    NO_FACTS = "no_facts"  #: {metric, need}: nothing was loaded for it
    FACTS_INCOMPLETE = "facts_incomplete"  #: {metric, need, have}: only bounds are known
    CHOICE_UNKNOWN = "choice_unknown"  #: {metric, choice, need, have}: the figure depends on what nobody told
    FIGURE_NOT_PUBLISHED = "figure_not_published"  #: {metric, figure, status, blocks}: if it blocks, it decides
    BELOW_BASELINE = "below_baseline"  #: {metric, need, have}: no points, the earlier value is too small
    BASELINE_UNKNOWN = "baseline_unknown"  #: {metric, need, have}
    REQUIREMENT_MISSING = "requirement_missing"  #: {metric}: no points, what they depend on is not so
    REQUIRED_STEP_MISSING = "required_step_missing"  #: {metric, step, need, have}
    CAPPED = "capped"  #: {metric, at}
    MIXED_OPTIONS = "mixed_options"  #: {metric, best, each}: not added up; `each` has what there is and what is full
    LEVEL_UNDETERMINED = "level_undetermined"  #: {level}
    LEVEL_BELOW_MISSING = "level_below_missing"  #: {level, below}: its own test is met, that of a lower level is not
    AT_ZERO = "at_zero"  #: {metric, have}: each metric must be above this
    TOTAL_SHORT = "total_short"  #: {need, have, short}
    TOTAL_UNDETERMINED = "total_undetermined"  #: {need, have}
    BEST_TRACK = "best_track"  #: {track}
    TRACK_UNDETERMINED = "track_undetermined"  #: {track}: another may have the best total; the figures are of this one
    QUALIFIED_EARLIER = "qualified_earlier"  #: {month, months}: with the figures of an earlier month, which is enough
    EARLIER_UNDETERMINED = "earlier_undetermined"  #: {month, months}: the figures of an earlier month may be enough
    NAMES_NOT_PUBLISHED = "names_not_published"  #: {metric}: nobody published which credentials people need
    SOME_NAMES_NOT_PUBLISHED = "some_names_not_published"  #: {metric}: others count as well, and nobody published which
    SEATS_OF_TODAY = "seats_of_today"  #: {metric}: of some subscriptions no month tells the seats, so today's count
    SEATS_UNKNOWN = "seats_unknown"  #: {metric}: of some subscriptions nothing tells the seats
    MONTHS_NOT_REPORTED = "months_not_reported"  #: {metric}: no file has data of some of the months
    CURRENCIES_DIFFER = "currencies_differ"  #: {metric}: some amounts are in another currency, and none is converted
    NOTHING_KNOWN = "nothing_known"  #: {}: nothing had been stored by then
    NO_RULE = "no_rule"  #: {program, day}: no version is in force or announced


class GateCode(StrEnum):
    """Why something earns nothing or its payment waits: the vendor's codes, and ours in the same style."""

    IVDMPN = "IVDMPN"
    IVDADV = "IVDADV"
    CUSEQPTR = "CUSEQPTR"
    TRIAL = "TRIAL"
    OPEN_LICENCE = "OPEN_LICENCE"
    IVDMPA = "IVDMPA"
    IVDCOMP = "IVDCOMP"
    NOT_IN_USE = "NOT_IN_USE"
    NO_BANK = "NO_BANK"
    NO_TAX = "NO_TAX"
    NOT_ON_RATE_CARD = "NOT_ON_RATE_CARD"
    IVDPOE = "IVDPOE"
    PAULWPHWM = "PAULWPHWM"
    MAULWPHWM = "MAULWPHWM"
    MINTHNTMT = "MINTHNTMT"
    MXTMCPMT = "MXTMCPMT"
    CUSPUBSEC = "CUSPUBSEC"
    CUSNOTNEW = "CUSNOTNEW"
    IVDCOSELL = "IVDCOSELL"
    IVDGEO = "IVDGEO"
    IVDCUST = "IVDCUST"
    CHREVNONCH = "CHREVNONCH"
    IVDPTRROLE = "IVDPTRROLE"
    INVTNXACO = "INVTNXACO"
    BELOW_MINIMUM_UNITS = "BELOW_MINIMUM_UNITS"
    RATE_UNKNOWN = "RATE_UNKNOWN"
    COMPETENCY_UNKNOWN = "COMPETENCY_UNKNOWN"
    NOT_CREDITED = "NOT_CREDITED"
    RATE_WITHDRAWN = "RATE_WITHDRAWN"


class Code(NamedTuple):
    """A code with its figures. Numbers are as JSON has them: 40, "45/7", [low, high] with null for no bound."""

    code: Why
    figures: Mapping[str, object]
