"""What can be claimed on a day, from programs.yaml, which is checked when the product starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from associations.claims.rules import LeadsTo, Program, Role
from associations.kinds.rules import Dated, dated, in_force, same_names, word, words
from por.directory.rules import Product, Workload


class Statements(NamedTuple):
    """All that is known of a programme: it has workloads or products, and roles."""

    workloads: list[Dated[tuple[Workload, ...]]]
    products: list[Dated[tuple[Product, ...]]]
    roles: Mapping[Role, list[Dated[LeadsTo]]]


@dataclass(frozen=True)
class Claimable:
    """What can be claimed in a programme on a day: workloads of a tenant, or subscriptions of some products."""

    workloads: tuple[Workload, ...]
    products: tuple[Product, ...]
    roles: Mapping[Role, LeadsTo]


def read_programs(file: Path) -> dict[Program, Statements]:
    """Return all statements about all programmes. Raises ValueError that names the file, the programme and the key."""
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    same_names(file.name, loaded, Program.values)
    return {program: _program(f"{file.name}: {program}", loaded[program]) for program in Program}


def _program(where: str, given: Any) -> Statements:
    of_tenant = isinstance(given, dict) and "workloads" in given
    same_names(where, given, ["workloads" if of_tenant else "products", "roles"])
    if not isinstance(given["roles"], dict) or not given["roles"]:
        raise ValueError(f"{where}: roles: {given['roles']!r} has no names")
    if unknown := given["roles"].keys() - set(Role.values):
        raise ValueError(f"{where}: roles: {min(unknown)} is not known")
    return Statements(
        dated(f"{where}: workloads", given["workloads"], words(Workload)) if of_tenant else [],
        [] if of_tenant else dated(f"{where}: products", given["products"], words(Product)),
        {
            Role(role): dated(f"{where}: roles: {role}", statements, word(LeadsTo))
            for role, statements in given["roles"].items()
        },
    )


PROGRAMS = read_programs(Path(__file__).parent / "programs.yaml")


def claimable(program: Program, day: date) -> Claimable | None:
    """Return what can be claimed in a programme on a day; None before it began."""
    known = PROGRAMS[program]
    workloads, products = in_force(known.workloads, day), in_force(known.products, day)
    if workloads is None and products is None:
        return None
    found = {role: in_force(statements, day) for role, statements in known.roles.items()}
    return Claimable(
        workloads.says if workloads else (),
        products.says if products else (),
        {role: one.says for role, one in found.items() if one is not None},
    )


def claimable_then(program: Program, day: date) -> Claimable:
    """Return what could be claimed on a day; before the programme began, what it began with."""
    known = PROGRAMS[program]
    began = min(one.since for one in (*known.workloads, *known.products) if one.since is not None)
    found = claimable(program, max(day, began))
    assert found is not None
    return found
