"""Every mistake in the body of a write is a 422 that names its place, however deep: `consent.email`, `rows.0.mpn_id`.

The places are those of the OpenAPI document, so a new field is tried here without a line about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from por.api.views import document
from tests.api import Api
from tests.factories import make_customer, make_member
from tests.test_writes import OF_FILES, RECIPES, Ready

pytestmark = pytest.mark.usefixtures("committed")

#: A value of each type of JSON.
VALUES: dict[str, list[Any]] = {
    "null": [None],
    "boolean": [True, False],
    "integer": [0, 4471902, -(10**30)],
    "number": [1.5, -1e300],
    "string": [""],
    "array": [[], [None], [[]], [{}], ["x"]],
    "object": [{}, {"x": 1}],
}
UNFIT_TEXT = {"uuid": ["x", "\0"], "date": ["x", "2026-02-30", "\0"], "email": ["x", "\0@x.example"]}
Place = tuple[str | int, ...]

BODIES: dict[str, dict[str, Any]] = {name: {"type": "object"} for name in RECIPES if name not in OF_FILES} | {
    operation["operationId"]: operation["requestBody"]["content"]["application/json"]["schema"]
    for methods in document()["paths"].values()
    for operation in methods.values()
    if "requestBody" in operation and operation["operationId"] not in OF_FILES
}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema itself in place of a reference to it."""
    if "allOf" in schema and len(schema["allOf"]) == 1:
        schema = schema["allOf"][0]
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def places(schema: dict[str, Any], place: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield every place in a body, and the schema of what belongs there. A list has its first item as a place."""
    schema = resolved(schema)
    if place:
        yield place, schema
    for name, inside in schema.get("properties", {}).items():
        yield from places(inside, (*place, name))
    if "items" in schema:
        yield from places(schema["items"], (*place, 0))


def types(schema: dict[str, Any]) -> set[str]:
    if "oneOf" in schema:
        return {kind for one in schema["oneOf"] for kind in types(one)}
    given = schema.get("type", "object")
    return set(given) if isinstance(given, list) else {given}


def unfit(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield values that do not belong there."""
    for kind, values in VALUES.items():
        if kind not in types(schema):
            yield from values
    yield from UNFIT_TEXT.get(schema.get("format", ""), [])


def put(body: Any, place: Place, value: Any) -> Any:
    """Return the body with this value there; an optional field comes into being."""
    first, rest = place[0], place[1:]
    body = deepcopy(body)
    if rest and isinstance(body, dict):
        body.setdefault(first, [{}] if rest[0] == 0 else {})
    body[first] = put(body[first], rest, value) if rest else value
    return body


def send(api: Api, ready: Ready, body: Any) -> tuple[int, list[str]]:
    response = ready.send(api, body, If_Match="*")
    return response.status_code, [error["field"] for error in response.json().get("errors", [])]


def dotted(place: Place) -> str:
    return ".".join(map(str, place))


def test_the_document_has_the_body_of_every_write():
    found = {dotted(place) for schema in BODIES.values() for place, _schema in places(schema)}
    assert {"subscription_ids.0", "consent.given_on", "rows.0.mpn_id"} <= found


each_write = pytest.mark.parametrize("name", [name for name in RECIPES if name not in OF_FILES])


@each_write
def test_a_value_of_a_wrong_type_is_refused_at_its_place(name):
    ready = RECIPES[name]()
    api, wrong = ready.ours(), []
    for place, schema in places(BODIES[name]):
        for value in unfit(schema):
            status, fields = send(api, ready, put(ready.body, place, value))
            if status != 422 or not fields or not all(one.startswith(dotted(place)) for one in fields):
                wrong.append(f"{json.dumps(value)} as {dotted(place)}: {status} {fields}")
    assert not wrong


@each_write
def test_a_field_that_is_missing_is_named(name):
    ready = RECIPES[name]()
    api = ready.ours()
    for place, schema in [((), resolved(BODIES[name])), *places(BODIES[name])]:
        for field in schema.get("required", []):
            body = put(ready.body, (*place, field), None)
            inside = body
            for step in place:
                inside = inside[step]
            del inside[field]
            assert send(api, ready, body) == (422, [dotted((*place, field))])


@each_write
def test_an_unknown_field_is_refused_at_any_depth(name):
    ready = RECIPES[name]()
    api = ready.ours()
    for place, schema in places(BODIES[name]):
        if "object" in types(schema):
            assert send(api, ready, put(ready.body, (*place, "unheard_of"), 1)) == (
                422,
                [dotted((*place, "unheard_of"))],
            )


def test_the_nearest_field_is_suggested():
    ready = RECIPES["bulk"]()

    response = ready.send(ready.ours(), {"rows": [{"subscription_id": "", "mpn": "4471902"}]})

    assert response.status_code == 422
    assert [(one["field"], one["detail"]) for one in response.json()["errors"]] == [
        ("rows.0.mpn", "This field does not exist. Did you mean mpn_id?"),
        ("rows.0.mpn_id", "This field is required."),
    ]


def test_each_row_is_named_also_in_a_bare_list():
    ready = RECIPES["bulk"]()
    (row,) = ready.body["rows"]

    for body in ([row, row, 7, {"mpn_id": "x"}], {"rows": [row, row, 7, {"mpn_id": "x"}]}):
        assert send(ready.ours(), ready, body) == (422, ["rows.2", "rows.3.subscription_id"])


def test_the_errors_of_a_thousand_rows_are_not_all_listed():
    ready = RECIPES["bulk"]()

    assert len(send(ready.ours(), ready, [7] * 1000)[1]) == 100


@pytest.mark.parametrize("body", ['{"mpn_id":1e400}', '{"mpn_id":NaN}', '{"mpn_id":-Infinity}', '{"mpn_id":"\\ud800"}'])
def test_a_body_that_is_not_json_is_refused(body):
    ready = RECIPES["attach"]()

    response = Api(ready.owner).put(ready.path, body.encode(), **{"If-Match": "*"})

    assert (response.status_code, response.json()["code"]) == (422, "malformed_json")


def test_a_name_that_a_body_has_twice_is_refused():
    """Which of the two counts would be a guess."""
    ready = RECIPES["attach"]()

    response = Api(ready.owner).put(ready.path, b'{"mpn_id":"4471902","mpn_id":"4471903"}', **{"If-Match": "*"})

    assert (response.status_code, response.json()["code"]) == (422, "field_twice")
    assert [one["field"] for one in response.json()["errors"]] == ["mpn_id"]


def test_a_name_that_is_twice_inside_a_body_is_named_with_its_path():
    ready = RECIPES["bulk"]()
    rows = b'{"rows":[{"subscription_id":"a","mpn_id":"1"},{"subscription_id":"b","mpn_id":"1","mpn_id":"2"}]}'

    response = Api(ready.owner).post(ready.path, rows)

    assert (response.status_code, response.json()["code"]) == (422, "field_twice")
    assert [one["field"] for one in response.json()["errors"]] == ["rows.1.mpn_id"]


def test_a_body_of_any_depth_is_answered():
    """Also under a key that is known already: then the body is written out again, to be compared."""
    ready = RECIPES["attach"]()
    api = Api(ready.owner)
    assert ready.send(api, If_Match="*", Idempotency_Key="deep").status_code < 300

    for depth in [*range(1, 1200, 7), 100_000]:
        body = b'{"mpn_id":' + b"[" * depth + b"]" * depth + b"}"
        for headers in ({}, {"Idempotency-Key": "deep"}):
            assert api.put(ready.path, body, **{"If-Match": "*"}, **headers).status_code == 422, depth


def test_a_stranger_learns_nothing_from_a_mistake():
    ready = RECIPES["accept"]()
    stranger = Api(make_member(make_customer("Other").organisation))

    assert ready.send(stranger, {"subscription_ids": ["x"]}).status_code == 404
