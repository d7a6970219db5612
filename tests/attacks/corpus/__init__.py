"""The corpus, one module a category, each with a list `ATTACKS`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from tests.attacks.attack import Attack


def by_category() -> dict[str, list[Attack]]:
    """Every attack, under the name of its module."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").ATTACKS for name in names}


def all_attacks() -> list[Attack]:
    """Every attack."""
    return [attack for attacks in by_category().values() for attack in attacks]


def chosen(names: Sequence[str]) -> list[Attack]:
    """The attacks with these names or in these categories; all if there are no names."""
    groups = by_category()
    everything = all_attacks()
    unknown = set(names) - set(groups) - {attack.name for attack in everything}
    if unknown:
        raise SystemExit(f"There is no attack or category {', '.join(sorted(unknown))}.")
    return [a for group, attacks in groups.items() for a in attacks if not names or group in names or a.name in names]
