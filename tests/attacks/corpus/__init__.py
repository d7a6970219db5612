"""The corpus, one module a category, each with a list `ATTACKS`."""

from __future__ import annotations

import importlib
import pkgutil

from tests.attacks.attack import Attack


def by_category() -> dict[str, list[Attack]]:
    """Every attack, under the name of its module."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").ATTACKS for name in names}


def all_attacks() -> list[Attack]:
    """Every attack."""
    return [attack for attacks in by_category().values() for attack in attacks]
