"""How partners, customers, subscriptions and usage of an estate are loaded. What their lines mean: docs/estates.md."""

from __future__ import annotations

from por.directory.imports.organisations import CUSTOMERS, PARTNERS
from por.directory.imports.subscriptions import SUBSCRIPTIONS
from por.directory.imports.usage import USAGE

#: In the order they are loaded: each after what it refers to.
FILES = (PARTNERS, CUSTOMERS, SUBSCRIPTIONS, USAGE)
