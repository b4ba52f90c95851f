"""A space as a tree: groups, parameters below those they depend on, and how many are active at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from redsm5.hpo.space.draw import Chance, draw
from redsm5.hpo.space.space import Choices, Conditions, Distribution, Fixed, Float, Int, Parameter, Scalar, Space, Value

DRAWS = 300
"""Random draws behind the counts."""
STARTS = 3
"""Of them, from how many a larger and a smaller one is looked for, change by change."""
SHOWN = 8
"""Choices that are listed; of more their number is said."""


def show(space: Space) -> Group:
    """What ``--show-space`` prints.

    Args:
        space: The space.
    """
    least, most, by_group = active_counts(space)
    groups = Counter(parameter.group for parameter in space.searched)
    head = f"{len(space.searched)} dimensions in {len(groups)} groups, {least} to {most} active at once"
    tree = Tree(Text(f"{space.source}: {head}"))
    for group, count in groups.items():
        low, high = by_group[group]
        branch = tree.add(Text(f"{group}: {count} dimensions, {low} to {high} active", style="bold"))
        placed: dict[str, Tree] = {}
        for parameter in space.parameters:
            if parameter.group == group and parameter.searched:
                above = next((placed[p.name] for p in _parents(space, parameter) if p.name in placed), branch)
                placed[parameter.name] = above.add(_line(parameter))
    return Group(tree)


def active_counts(space: Space) -> tuple[int, int, dict[str, tuple[int, int]]]:
    """How many dimensions are active at least and at most, in all and by group, in draws that look for both ends.

    Args:
        space: The space.
    """
    seen: list[Mapping[str, Scalar]] = [draw(space, Chance(seed)) for seed in range(DRAWS)]
    for sign in (1, -1):
        for start in sorted(seen[:DRAWS], key=lambda drawn: sign * len(drawn))[-STARTS:]:
            seen.append(_climbed(space, start, sign))
    sizes = [len(drawn) for drawn in seen]
    groups = {parameter.name: parameter.group for parameter in space.searched}
    counts = [Counter(groups[name] for name in drawn) for drawn in seen]
    by_group = {
        group: (min(count[group] for count in counts), max(count[group] for count in counts))
        for group in dict.fromkeys(groups.values())
    }
    return min(sizes), max(sizes), by_group


def _climbed(space: Space, start: Mapping[str, Scalar], sign: int) -> Mapping[str, Scalar]:
    """A draw with more (or fewer) values, reached by changing one choice at a time that others depend on."""
    deciding = [p for p in space.searched if any(p in space.meant(key) for q in space.parameters for key in q.parents)]
    best = dict(start)
    while True:
        found = best
        for parameter in deciding:
            if parameter.name in best and isinstance(parameter.distribution, Choices):
                for value in parameter.distribution.drawn:
                    changed = draw(space, Chance(0, {**best, parameter.name: value}))
                    if sign * len(changed) > sign * len(found):
                        found = changed
        if found is best:
            return best
        best = found


def _parents(space: Space, parameter: Parameter) -> list[Parameter]:
    return [other for key in parameter.when for other in space.meant(key)]


def _line(parameter: Parameter) -> Text:
    line = Text()
    line.append(parameter.name, style="bold cyan")
    line.append(f"  {words(parameter.distribution)}")
    for label, conditions in (("when", parameter.when), ("unless", parameter.unless)):
        if conditions:
            line.append(f"  {label} {_conditions(conditions)}", style="yellow")
    for other in parameter.scale or ():
        line.append(f"  scaled by {other}", style="magenta")
    if parameter.requires is not None:
        line.append(f"  requires {parameter.requires}", style="red")
    line.append(f"  {parameter.path or 'decides alone about others'}", style="dim")
    return line


def words(distribution: Distribution) -> str:
    """A distribution in a few words.

    Args:
        distribution: Of a parameter.
    """
    match distribution:
        case Choices(values) if len(values) > SHOWN:
            return f"one of {len(values)}: {values[0]}, {values[1]}, ..."
        case Choices() as choices:
            return "{" + ", ".join(shown(value) for value in choices.drawn) + "}"
        case Fixed(value):
            return f"= {shown(value)}"
        case Float(low, high, log, step):
            return f"{low:g} to {high:g}{', log' * log}{f', by {step:g}' if step is not None else ''}"
        case Int(low, high, log, int_step):
            return f"{low} to {high}{', log' * log}{f', by {int_step}' if int_step != 1 else ''}"


def shown(value: Value) -> str:
    """A value as YAML has it.

    Args:
        value: Of a parameter.
    """
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _conditions(conditions: Conditions) -> str:
    return " and ".join(
        f"{key} is {' or '.join(map(shown, values)) if len(values) <= SHOWN else f'one of {len(values)}'}"
        for key, values in conditions.items()
    )
