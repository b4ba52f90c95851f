"""What the user set, by dotted key: read from the config files and the options before they are parsed."""

from __future__ import annotations

from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from redsm5.errors import UserError

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast, where PyYAML was built with libyaml."""
FILES = {"data.criteria"}
"""Options whose value is the name of a file, whatever it holds."""


def given_sources(args: list[str]) -> list[dict[str, Any]]:
    """The keys that each config file and each run of options between them set, in their order.

    Raises:
        UserError: A config file is missing, cannot be read, is not YAML, or holds no keys.
    """
    sources: list[dict[str, Any]] = [{}]
    for flag, value in _pairs(args):
        if flag == "config" and value is not None:
            sources += [flat(_read(Path(value))), {}]
        else:
            sources[-1] |= _option(flag, value)
    return [source for source in sources if source]


def merged(sources: list[dict[str, Any]]) -> dict[str, Any]:
    """Every key that is set, later ones over earlier ones."""
    return {key: value for source in sources for key, value in source.items()}


def _option(flag: str, value: str | None) -> dict[str, Any]:
    """An option; one whose value is a mapping, or a file that holds one, as the keys that it sets.

    A file of anything else is the value itself.
    """
    if value is None or flag in FILES:
        return {flag: value}
    if value.startswith("{"):
        with suppress(yaml.YAMLError):
            return flat(yaml.safe_load(value), f"{flag}.")
    if value.endswith((".yaml", ".yml")) and Path(value).is_file():
        held = _load(Path(value))
        return flat(held, f"{flag}.") if isinstance(held, dict) else {flag: value}
    return {flag: value}


def given_options(args: list[str]) -> dict[str, Any]:
    """The keys that options set, those of config files aside."""
    found: dict[str, Any] = {}
    for flag, value in _pairs(args):
        if flag != "config":
            found |= _option(flag, value)
    return found


def given_configs(args: list[str]) -> list[str]:
    """The config files that the arguments name, in their order."""
    return [value for flag, value in _pairs(args) if flag == "config" and value is not None]


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one from dotted keys to values; empty mappings are values."""
    if not isinstance(node, dict) or not node:
        return {prefix.rstrip("."): node}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= flat(value, f"{prefix}{key}.")
    return found


def _pairs(args: list[str]) -> list[tuple[str, str | None]]:
    pairs: list[tuple[str, str | None]] = []
    for arg, following in zip_longest(args, args[1:]):
        if arg.startswith("--"):
            name, equals, value = arg.removeprefix("--").partition("=")
            pairs.append((name, value if equals else following))
    return pairs


def _read(path: Path) -> dict[str, Any]:
    config = _load(path)
    if not isinstance(config, dict):
        raise UserError(f"the config file {path} holds no keys; it is a mapping such as configs/fit.yaml")
    return config


def _load(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
    except FileNotFoundError:
        raise UserError(f"there is no config file {path}; configs/ holds those to start from") from None
    except OSError as error:
        raise UserError(f"the config file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"the config file {path} is not UTF-8 text; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(
            f"the config file {path} is not YAML{where}: {getattr(error, 'problem', 'unreadable')}"
        ) from None
