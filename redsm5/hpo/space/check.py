"""Whether a space can be drawn from: against the types of the config, and against what goes with what."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from redsm5.errors import UserError
from redsm5.hpo.space.draw import Chance, draw, settings
from redsm5.hpo.space.resolve import base_settings, laid_over
from redsm5.hpo.space.space import Choices, Fixed, Float, Int, Parameter, Scalar, Space, Value

DRAWS = 200
"""Random draws that are built, beside one for each value of each parameter."""
TRIES = 60
"""Draws in which a parameter with a value must come to be active."""
OF_THE_ENCODER = ("model.encoder.", "model.peft", "model.freezing", "model.pooling", "data.max_length")
"""Keys whose values do not go with every encoder: each is built with each."""


def check_space(space: Space, args: Sequence[str]) -> None:
    """Refuse a space of which a draw cannot be run, before anything is.

    Each value of each parameter (of a range its ends) is drawn once beside what it depends on, values that depend on
    the encoder once with each, and some draws are random. What is drawn is built as options over the base config.

    Args:
        space: The space, without what this machine lacks.
        args: Options of the base config, as on the command line.

    Raises:
        UserError: One sentence: the file, the parameter, and what is wrong with it.
    """
    base = base_settings(tuple(args))
    for parameter in space.parameters:
        _check_types(space, parameter)
    for name, value in _values(space):
        _build(space, _forced_draw(space, {name: value}), base, f"{name} being {value}")
    for encoder, name, value in _encoder_pairs(space):
        drawn = _forced_draw(space, {**encoder, name: value}, either=True)
        if drawn is not None:
            _build(space, drawn, base, f"{name} being {value}, {', '.join(f'{k} {v}' for k, v in encoder.items())}")
    for seed in range(DRAWS):
        _build(space, draw(space, Chance(seed)), base, "a random draw")


def _check_types(space: Space, parameter: Parameter) -> None:
    from redsm5.hpo.space.built import OF_A_RUN, plain, refusal, roots, types_of

    if not parameter.path:
        return
    where = f"{space.source}: {parameter.group}.{parameter.name}"
    types = types_of(parameter.path)
    if parameter.path in OF_A_RUN:
        raise UserError(f"{where} sets {parameter.path}, which is each run's own; take it out")
    if not types:
        close = difflib.get_close_matches(parameter.path, [*base_like(roots()), *plain()], n=1, cutoff=0.7)
        hint = f"did you mean {close[0]}?" if close else "redsm5 fit --help lists the keys"
        raise UserError(f"{where} sets {parameter.path}, which no config has; {hint}")
    for value in _ends(parameter):
        refused = [refusal(hint, value) for hint in types]
        if all(words is not None for words in refused):
            takes = " or ".join(dict.fromkeys(words for words in refused if words is not None))
            shown = "null" if value is None else value
            raise UserError(f"{where}: {shown} is not accepted for {parameter.path}; it takes {takes}")


def base_like(roots: Mapping[str, type]) -> list[str]:
    """All keys below these, for a sentence that names the nearest.

    Args:
        roots: Keys that hold options, with their class or base.
    """
    from dataclasses import fields, is_dataclass

    from redsm5.run.sentences import variants_of

    found = list(roots)
    for key, root in roots.items():
        for kind in variants_of(root) or [root]:
            if is_dataclass(kind):
                found += [f"{key}.{field.name}" for field in fields(kind)]
    return list(dict.fromkeys(found))


def _ends(parameter: Parameter) -> list[Value]:
    """The values of a parameter; of a range its ends, as drawn."""
    match parameter.distribution:
        case Choices(values):
            return list(values)
        case Fixed(value):
            return [value]
        case Float(low, high) | Int(low, high):
            return [low, high]


def _drawable(parameter: Parameter) -> Sequence[Scalar]:
    match parameter.distribution:
        case Choices() as choices:
            return choices.drawn
        case Fixed():
            return ()
        case Float(low, high) | Int(low, high):
            return (low, high)


def _values(space: Space) -> Iterator[tuple[str, Scalar]]:
    for parameter in space.parameters:
        for value in _drawable(parameter):
            yield parameter.name, value


def _encoder_pairs(space: Space) -> Iterator[tuple[dict[str, Scalar], str, Scalar]]:
    for encoder in _encoders(space):
        for parameter in space.searched:
            depends = parameter.path.startswith(OF_THE_ENCODER) and parameter.name not in encoder
            if depends and _may_be(space, parameter, encoder):
                for value in _drawable(parameter):
                    yield encoder, parameter.name, value


def _encoders(space: Space) -> list[dict[str, Scalar]]:
    """One encoder of each kind: those that differ in nothing that options depend on stand for each other."""
    from redsm5.modules.encoder import Encoder
    from redsm5.peft.checks import known_facts

    found: dict[object, dict[str, Scalar]] = {}
    for parameter in space.by_path.get("model.encoder.id", ()):
        for value in _drawable(parameter):
            facts = known_facts(Encoder(space.aliases.get(str(value), str(value))))
            # A condition may name one of them and not the other.
            named = tuple(
                (other.name, key, value in values)
                for other in space.parameters
                for conditions in (other.when, other.unless)
                for key, values in conditions.items()
                if parameter in space.meant(key)
            )
            sizes = None if facts is None else (facts.family, facts.layers, facts.hidden, facts.heads, facts.context)
            found.setdefault((sizes, named) if sizes else value, {parameter.name: value})
    return list(found.values())


def _may_be(space: Space, parameter: Parameter, given: Mapping[str, Scalar]) -> bool:
    """Whether its own conditions let a parameter be beside these values."""
    for conditions, wanted in ((parameter.when, True), (parameter.unless, False)):
        for key, values in conditions.items():
            if any(other.name in given and (given[other.name] in values) != wanted for other in space.meant(key)):
                return False
    return True


def _forced_draw(space: Space, forced: dict[str, Scalar], *, either: bool = False) -> dict[str, Scalar] | None:
    """A draw with these values; what they depend on is forced too, as far as ``when`` says it."""
    wanted = dict(forced)
    for attempt in range(TRIES):
        chance = Chance(attempt)
        wanted = dict(forced)
        for name in forced:
            _force_parents(space, name, wanted, chance)
        drawn = draw(space, Chance(attempt, wanted))
        if all(drawn.get(name, wanted) == value for name, value in forced.items()):
            return drawn
    if either:
        return None
    name = next(iter(forced))
    raise UserError(
        f"{space.source}: {space.by_name[name].group}.{name} is never drawn, since its conditions exclude each other; "
        "change them, or take it out"
    )


def _force_parents(space: Space, name: str, wanted: dict[str, Scalar], chance: Chance) -> None:
    for key, allowed in space.by_name[name].when.items():
        meant = [parameter for parameter in space.meant(key) if parameter.searched]
        options = [(p.name, value) for p in meant for value in _drawable(p) if value in allowed]
        if not options or any(parameter.name in wanted for parameter in meant):
            continue
        index = chance.suggest_int("which", 0, len(options) - 1)
        parent, value = options[index]
        wanted[parent] = value
        _force_parents(space, parent, wanted, chance)


def _build(space: Space, drawn: Mapping[str, Value] | None, base: Mapping[str, Value], what: str) -> None:
    from redsm5.hpo.space.built import build

    assert drawn is not None
    chosen = settings(space, drawn)
    try:
        build(laid_over(base, chosen))
    except UserError as error:
        raise UserError(f"{space.source}: {what} cannot be run: {error}") from error
