"""Turns jsonargparse's messages into one sentence that names the key and what is accepted. Torch-free."""

from __future__ import annotations

import difflib
import re
from argparse import ArgumentParser
from typing import Any, Literal, get_args, get_origin, get_type_hints

from jsonargparse.typing import get_registered_type


def config_sentence(message: str, keys: dict[str, Any], given: dict[str, Any]) -> str:
    """One sentence for a parse error.

    Args:
        message: What jsonargparse said, over one or more lines.
        keys: The types of all keys, from ``known_keys``.
        given: What the user set, by dotted key.
    """
    if match := re.match(r"unrecognized arguments: (?:--)?([^\s=]+)", message):
        return unknown_key(match[1], keys)
    if match := re.search(r"Group '([^']+)' does not accept option '([^']+)'", message):
        return unknown_key(f"{match[1]}.{match[2]}", keys)
    if match := re.search(r"the following arguments are required: (.+)|Key \"(.+?)\" is required", message):
        return f"{(match[1] or match[2]).strip()} is required; set it in the config or as --{match[1] or match[2]}"
    key_match = re.search(r'[Pp]arser key "([^"]+)"', message)
    key = key_match[1] if key_match else None
    if key and "Unable to load config" in message:
        return f"{key} is {given.get(key)!r}; it takes keys below it, such as those in configs/fit.yaml"
    if key is None and (match := re.fullmatch(r"Option '([^']+)' is not accepted", message.strip())):
        return _foreign_option(match[1], given, keys)
    if key and (match := re.search(r"Option '([^']+)' is not accepted", message)):
        chosen = re.search(r"class_path '([\w.]+)'", message)
        return f"{key}: {_foreign(match[1], chosen[1] if chosen else 'this variant', keys.get(key))}"
    if key and key in keys:
        return f"{key}: {_refused(message, keys[key])}"
    if key and (sentence := _refused_field(key, message, given, keys)):
        return sentence
    if key:
        # Of a variant's own parser, which knows only the last part.
        whole = next((name.replace(".init_args", "") for name in given if name.endswith(f".{key}")), key)
        return f"{whole}: {_refused(message, None)}"
    return _flat(message)


def known_keys(parser: ArgumentParser) -> dict[str, Any]:
    """Every dotted key of the config with its type."""
    return {a.dest: getattr(a, "_typehint", a.type) for a in parser._actions if a.dest not in ("help", "config")}


def unknown_key(key: str, keys: dict[str, Any]) -> str:
    """A sentence for a key that does not exist, with those that look like it."""
    close = difflib.get_close_matches(key, [k for k in keys if not k.endswith(".help")], n=3, cutoff=0.6)
    parent = key.rpartition(".")[0]
    siblings = [k for k in keys if k.rpartition(".")[0] == parent]
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif siblings:
        hint = f"the keys there are {', '.join(siblings[:12])}"
    else:
        hint = "see redsm5 fit --help for those that exist"
    return f"there is no key {key}; {hint}"


def variants(base: Any) -> list[str]:
    """Class names that a key with variants accepts."""
    return [kind.__name__ for kind in variants_of(base) if _ours(kind)]


def _ours(kind: type[Any]) -> bool:
    return kind.__module__.startswith("redsm5.")


def variants_of(base: Any) -> list[type[Any]]:
    """The variant classes of a base; private ones are none that a user can name."""
    found: list[type[Any]] = []
    for kind in get_args(base) or (base,):
        if isinstance(kind, type) and _ours(kind):  # str has subclasses too
            known: list[type[Any]] = kind.__subclasses__()
            direct = [variant for variant in known if not variant.__name__.startswith("_")]
            found += direct
            found += [further for variant in direct if _ours(variant) for further in variants_of(variant)]
    return found


def _foreign_option(option: str, given: dict[str, Any], keys: dict[str, Any]) -> str:
    """Jsonargparse names only the option: where it was set tells the key, and what the variant there is."""
    for key in given:
        if key.endswith(f".{option}"):
            parent = key.removesuffix(f".{option}").removesuffix(".init_args")
            chosen = given.get(f"{parent}.class_path", given.get(parent))
            if parent in keys and isinstance(chosen, str):
                return f"{parent}: {_foreign(option, chosen, keys[parent])}"
            if names := variants(keys.get(parent)):
                return f"{parent}: its default has no option {option}; the variants are {', '.join(names)}"
    return unknown_key(option, keys)


def _refused_field(field: str, message: str, given: dict[str, Any], keys: dict[str, Any]) -> str | None:
    """Jsonargparse names only the field of a variant: where it was set tells the key and what it takes."""
    for key in given:
        parent = key.removesuffix(f".{field}").removesuffix(".init_args")
        chosen = given.get(f"{parent}.class_path", given.get(parent))
        if key.endswith(f".{field}") and parent in keys and isinstance(chosen, str):
            for kind in variants_of(keys[parent]):
                if kind.__name__ == chosen.rpartition(".")[2] and field in (hints := get_type_hints(kind)):
                    return f"{parent}.{field}: {_refused(message, hints[field])}"
    return None


def _foreign(option: str, class_path: str, base: Any) -> str:
    name = class_path.rpartition(".")[2]
    for kind in variants_of(base):
        if kind.__name__ == name:
            fields = list(getattr(kind, "__dataclass_fields__", {}))
            return f"{name} has no option {option}; its options are {', '.join(fields) if fields else 'none'}"
    return f"there is no option {option} in {name}"


def _refused(message: str, typehint: Any) -> str:
    given = re.search(r"(?:Got value|Given value): (.+)", message)
    if given and given[1].strip() == "None":
        return f"nothing is set; it takes {accepted(typehint)}; configs/fit.yaml (--config) sets what a fit needs"
    value = f"{given[1].strip()} is not accepted" if given else _flat(message.split("\n", 1)[-1])
    names = variants(typehint)
    if names and not given:
        refused = re.search(r"import path string: (\S+)|Expected a path but (\S+)", message)
        if refused:
            return f"{refused[1] or refused[2]} is not accepted; the variants are {', '.join(names)}"
    if typehint is None:  # of a variant: jsonargparse's own words say what it takes
        return f"{value}; {_expected(message)}"
    return f"{value}; it takes {accepted(typehint)}" if given else value


def accepted(typehint: Any) -> str:
    """What a type accepts, in words."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    if typehint in words:
        return words[typehint]
    names = variants(typehint) if not isinstance(typehint, type) or not get_registered_type(typehint) else []
    origin = get_origin(typehint)
    if origin is Literal:
        return " or ".join(str(v) for v in get_args(typehint))
    if names:
        return f"one of {', '.join(names)}"
    args = [a for a in get_args(typehint) if a is not Ellipsis]
    if origin is tuple:
        return f"a list of {len(args)} values: {', '.join(accepted(a) for a in args)}"
    if args:
        return " or ".join(accepted(a) for a in args)
    return getattr(typehint, "__name__", str(typehint))


def _expected(message: str) -> str:
    expected = re.search(r"Expected an? (.+?)\.(?:\s|$)", message)
    if expected is None:
        return "see redsm5 fit --help"
    if choices := re.fullmatch(r"typing\.Literal\[(.+)\]", expected[1]):
        return f"it takes {choices[1].replace(', ', ' or ').replace(chr(39), '')}"
    words = {"<class 'float'>": "a number", "<class 'int'>": "a whole number", "<class 'bool'>": "true or false"}
    return f"it takes {words.get(expected[1], f'a {expected[1]}')}"


def _flat(message: str) -> str:
    lines = [line.strip(" -\t") for line in message.splitlines()]
    return ": ".join(line.rstrip(":") for line in lines if line)
