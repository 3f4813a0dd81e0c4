"""Competencies over the API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from django.http import HttpResponseBase
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from competencies.evidence import Evidence, evidence_known, evidence_of
from competencies.forms import KnownAtForm, WhatIfFilter, Whose
from competencies.measures.asking import Group
from competencies.models import Round
from competencies.queries import attained, attained_in, company_for, known, known_in
from competencies.results import Result
from competencies.schemas import (
    DETAIL_EXAMPLE,
    EXAMPLE,
    ROUND_EXAMPLE,
    CompetencyDetailShape,
    CompetencyShape,
    RoundShape,
    WhatIfShape,
    competency_shape,
    detail_shape,
    round_shape,
    what_if_shape,
)
from competencies.supposing import WhatIf
from por.accounts.authentication import actor_of
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind, Right
from por.accounts.writes import idempotent
from por.api.endpoint import Endpoint, check_parameters, entered, wants_csv
from por.api.lists import filtered, listing
from por.api.schema import described, page_of
from por.web.filters import check_not_in_future
from por.web.lists import csv_file


class CompetencyFilter(Whose, KnownAtForm):
    """Whose competencies, and of when."""

    def results(self, actor: Actor) -> list[Result]:
        """Return the results that are asked for. Raises NotFound for a partner that the actor may not see."""
        company, day, known_at = self._asked(actor)
        return known(company, day, known_at) if known_at else attained(company, day)

    def result_of(self, actor: Actor, program: str) -> Result:
        """Return the result of one programme. Raises NotFound if there is none that the actor may see."""
        company, day, known_at = self._asked(actor)
        return known_in(company, program, day, known_at) if known_at else attained_in(company, program, day)

    def evidence_of(self, actor: Actor, result: Result) -> dict[str, Evidence]:
        """Return which customers make the figures of a result, as far as the actor may see them."""
        company, day, known_at = self._asked(actor)
        if known_at:
            return evidence_known(actor, company, result, day, known_at)
        return evidence_of(actor, company, result, day)

    def _asked(self, actor: Actor) -> tuple[Organisation, date, date | None]:
        given = self.cleaned_data
        return company_for(actor, given["mpn_id"]), self.day or timezone.localdate(), given["known_at"]


PROBLEMS = {404: ["not_found"], 422: ["required", "mpn_id_malformed", "as_of_in_future", "known_at_in_future"]}
COLUMNS = ["program", "title", "level", "next_level", "state", "valid_until", "at_risk", "safe_until", "rule_version"]
COLUMNS += ["metric", "unit", "value", "at_least", "at_most", "met", "points", "most_points", "why"]


class CompetencyList(Endpoint):
    @described(
        "competencies",
        "Competencies",
        """What a company has reached in each programme that had rules on the day: the level, what was measured and what
        is missing. A global account and its locations are one company. With `as_of`, at the end of that day, by the
        rules of that day, with what is known now. With `known_at`, what was stored by then. Customers have none. As
        CSV, a row for each metric.""",
        answers={200: list[CompetencyShape]},
        example=[EXAMPLE],
        filters=CompetencyFilter,
        problems=PROBLEMS,
        is_file=True,
    )
    def get(self, request: Request) -> HttpResponseBase:
        is_csv = wants_csv(request)
        asked = filtered(request, CompetencyFilter)
        actor = actor_of(request)
        found = [] if actor.kind == OrganisationKind.CUSTOMER else map(competency_shape, asked.results(actor))
        return csv_file("competencies", COLUMNS, _lines(found), day=asked.day) if is_csv else Response(list(found))


class CompetencyDetail(Endpoint):
    @described(
        "competency",
        "Competency",
        """What a company has reached in one programme, as in the list, and the customers behind each metric that the
        caller may see; of others the number. With `known_at` they are those that were kept with the result. 404 if the
        programme had no rules on the day, or is not computed.""",
        answers={200: CompetencyDetailShape},
        example=DETAIL_EXAMPLE,
        filters=CompetencyFilter,
        problems=PROBLEMS,
    )
    def get(self, request: Request, program: str) -> Response:
        asked, actor = filtered(request, CompetencyFilter), actor_of(request)
        result = asked.result_of(actor, program)
        return Response(detail_shape(result, asked.evidence_of(actor, result)))


class RoundList(Endpoint):
    @described(
        "recomputations",
        "Recomputations of competencies",
        """The recomputations of many companies, newest first: by night, after an import, by command, and after new
        rules. For platform staff who may read imports.""",
        answers={200: RoundShape},
        example=page_of(ROUND_EXAMPLE),
        is_list=True,
        is_file=True,
        problems={403: ["no_right"]},
    )
    def get(self, request: Request) -> HttpResponseBase:
        actor_of(request).require(Right.READ_IMPORTS)
        return listing(
            request,
            Round.objects.all(),
            lambda some: [round_shape(one) for one in some],
            order=("-pk",),
            columns=list(ROUND_EXAMPLE),
            name="recomputations",
        )


class GroupBody(serializers.Serializer[Any]):
    """So many people, each with the same credentials."""

    credentials = serializers.ListField(
        child=serializers.CharField(max_length=100), help_text="1 to 20, such as exam:70-347."
    )
    count = serializers.IntegerField(help_text="1 to 1,000.")


class NamedBody(serializers.Serializer[Any]):
    """A subscription that you see, or of a customer that you see."""

    subscription_id = serializers.UUIDField()


class WhatIfBody(serializers.Serializer[Any]):
    """A what-if question. In all, up to 200 subscriptions and groups of people."""

    attach = serializers.ListField(child=NamedBody(), default=list, help_text="Those that the company gets.")
    detach = serializers.ListField(child=NamedBody(), default=list, help_text="Those that the company loses.")
    people = serializers.ListField(child=GroupBody(), default=list, help_text="People who join the company.")
    as_of = serializers.DateField(
        required=False, help_text="The UTC day on which this would happen, and of which the results are: today."
    )

    def validate_as_of(self, day: date) -> date:
        check_not_in_future(day, "as_of_in_future")
        return day


WHAT_IF_EXAMPLE = [{"program": EXAMPLE["program"], "today": EXAMPLE, "supposed": EXAMPLE | {"level": "gold"}}]
REFUSED = ["required", "mpn_id_malformed", "as_of_in_future", "too_many_rows", "attached_and_detached"]
REFUSED += ["count_out_of_range", "credentials_out_of_range", "credential_malformed"]


class WhatIfAnswer(Endpoint):
    @described(
        "what_if",
        "What if",
        """What the company would reach in each programme if it became the partner of record of some subscriptions, lost
        others, or people joined it. Nothing is stored. It is computed as if all of this happened on the day, today or
        `as_of`, beside what has been reached. `attach`, `detach` and `people` may be repeated, and the address can be
        shared within the company.""",
        answers={200: list[WhatIfShape]},
        example=WHAT_IF_EXAMPLE,
        filters=WhatIfFilter,
        problems={404: ["not_found"], 422: [*REFUSED, "people_malformed"]},
    )
    def get(self, request: Request) -> Response:
        asked, actor = filtered(request, WhatIfFilter), actor_of(request)
        company = company_for(actor, asked.cleaned_data["mpn_id"])
        return Response([what_if_shape(*one) for one in asked.results(company, actor)])

    @described(
        "ask_what_if",
        "What if, asked in a body",
        """The same for longer questions. Nothing is stored, so a read-only token may ask. With an `Idempotency-Key` the
        first answer is repeated.""",
        answers={200: list[WhatIfShape]},
        example=WHAT_IF_EXAMPLE,
        body=WhatIfBody,
        body_example={
            "attach": [{"subscription_id": "0a8f6f5e-3f0c-4b7e-8d53-5a0c5a0f9b21"}],
            "people": [{"credentials": ["exam:70-346", "exam:70-347"], "count": 2}],
        },
        filters=Whose,
        problems={404: ["not_found"], 422: [*REFUSED, "not_a_list", "blank", "max_string_length", "date", "datetime"]},
        writes=True,
    )
    def post(self, request: Request) -> Response:
        actor = actor_of(request)

        def answer() -> Response:
            check_parameters(request)
            given = entered(request, WhatIfBody)  # first, because a body may be too large for anyone
            company = company_for(actor, filtered(request, Whose).cleaned_data["mpn_id"])
            asked = WhatIf(
                [one["subscription_id"] for one in given["attach"]],
                [one["subscription_id"] for one in given["detach"]],
                [Group(one["count"], tuple(one["credentials"])) for one in given["people"]],
            )
            day = given.get("as_of") or timezone.localdate()
            return Response([what_if_shape(*one) for one in asked.results(company, day, actor)])

        return idempotent(request, answer)


def _lines(found: Iterable[CompetencyShape]) -> Iterator[list[Any]]:
    for one in found:
        for metric in one["metrics"]:
            value = metric["value"]
            yield [
                one["program"],
                one["title"],
                one["level"],
                one["next_level"],
                one["state"],
                one["valid_until"],
                one["at_risk"],
                one["safe_until"],
                one["rule_version"],
                metric["metric"],
                value["unit"],
                value["exact"],
                value["at_least"],
                value["at_most"],
                metric["met"],
                metric["points"],
                metric["most_points"],
                " ".join(why["detail"] for why in metric["why"]),
            ]
