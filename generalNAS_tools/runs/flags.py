"""The command line: every flag is a field of a frozen dataclass, where it is said once.

A script names the dataclasses it takes (`class Options(SearchOptions): halving: HalvingOptions`),
and `parse_options` gives them back filled in: no script or tool sees argparse's namespace.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, get_type_hints

from generalNAS_tools.files.progress import say
from generalNAS_tools.runs.old_flags import INERT, OLD_NAMES

Options = TypeVar("Options")

MAX_COUNT = 10**9
"""Of steps, epochs, channels ...: nothing is larger, and products stay within 64 bits."""
MAX_ARCHITECTURES = 100_000
"""That a search draws: all of them lie in memory at a time."""
MAX_NUMBER = 1e18
"""Of rates, norms ...: the product of two of them is still a float32."""


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Prints the one line, without the usage, and leaves."""
        say(f"{self.prog}: error: {message}")
        sys.exit(2)


def flag(convert: Callable[[str], Any], default: Any, text: str, *, choices: Any = None) -> Any:
    """A field of a dataclass that is a flag.

    Args:
        convert: from the text that a user gives; empty only if that is the default.
        default: a tuple makes it a flag of one or more values, `...` a flag that must be given.
        text: its sentence in --help.
        choices: the values allowed.
    """
    convert = _not_empty if convert is str and default != "" else convert
    more = {"type": convert, "help": text, "choices": choices}
    return _field(default, more | ({"nargs": "+"} if isinstance(default, tuple) else {}))


def switch(default: bool, text: str) -> Any:
    """A field that is `--flag`, `--flag=True`, `--flag=False` and `--no-flag`."""
    more = {"type": boolean, "nargs": "?", "const": True, "metavar": "BOOL", "help": text}
    return _field(default, more)


def _field(default: Any, argument: dict[str, Any]) -> Any:
    start = dataclasses.MISSING if default is ... else default
    return dataclasses.field(default=start, metadata={"argument": argument})


def parse_options(kind: type[Options], description: str | None, **defaults: Any) -> Options:
    """Reads the command line.

    Args:
        kind: a dataclass of dataclasses of flags; their attribute `title` names a group in
            --help. One with `old_flags` set takes the flags of 2021's parsers along.
        description: what --help says first.
        defaults: by flag, where they are not the dataclass's own.
    """
    parser = OneLineParser(
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    hints = get_type_hints(kind)
    parts = {field.name: hints[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    groups: dict[str | None, Any] = {None: parser}
    for part in parts.values():
        if part.title not in groups:
            groups[part.title] = parser.add_argument_group(part.title)
        for field in _flags(part):
            _add(groups[part.title], field, defaults.get(field.name, field.default))
    fields = {field.name: field for part in parts.values() for field in _flags(part)}
    assert defaults.keys() <= fields.keys()
    if any(getattr(part, "old_flags", False) for part in parts.values()):
        _add_old(parser, fields)
    for word in sys.argv[1:]:
        if word.startswith("--") and word.endswith("=--"):  # argparse would read no value at all
            parser.error(f"{word}: expected a value")
    values = vars(parser.parse_args())
    if inert := ", ".join(name for name in values if name.startswith("--")):
        say(f"{parser.prog}: warning: without effect here, as in 2021: {inert}")
    return kind(**{name: _filled(part, values) for name, part in parts.items()})


def as_config(options: Any) -> dict[str, Any]:
    """Every flag's value by name, of what `parse_options` gave."""
    parts = [getattr(options, field.name) for field in dataclasses.fields(options)]
    return {field.name: getattr(part, field.name) for part in parts for field in _flags(type(part))}


def _flags(part: type[Any]) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(part) if "argument" in field.metadata]


def _add(group: Any, field: dataclasses.Field[Any], default: Any) -> None:
    argument, required = field.metadata["argument"], default is dataclasses.MISSING
    default = list(default) if isinstance(default, tuple) else default
    told = argparse.SUPPRESS if required or default is None else default  # --help says no None
    group.add_argument(f"--{field.name}", required=required, default=told, **argument)
    if argument["type"] is boolean:
        group.add_argument(
            f"--no-{field.name}",
            dest=field.name,
            action="store_false",
            default=argparse.SUPPRESS,
            help=f"same as --{field.name}=False",
        )


def _add_old(parser: argparse.ArgumentParser, fields: dict[str, dataclasses.Field[Any]]) -> None:
    """Adds what 2021's parsers had, hidden from --help: old names and flags without effect."""
    hidden: dict[str, Any] = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    names = OLD_NAMES.items()
    renamed = {old: new for old, new in names if new in fields and old not in fields}
    for old, new in renamed.items():
        argument = fields[new].metadata["argument"]
        parser.add_argument(f"--{old}", dest=new, **argument | hidden)
    for name in sorted({*INERT, *OLD_NAMES} - fields.keys() - renamed.keys()):
        parser.add_argument(f"--{name}", nargs="?", dest=f"--{name}", **hidden)


def _filled(part: type[Any], values: dict[str, Any]) -> Any:
    chosen = {field.name: values.get(field.name) for field in _flags(part)}
    return part(**{n: tuple(v) if isinstance(v, list) else v for n, v in chosen.items()})


def _not_empty(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("'' is empty; expected a value")
    return text


def boolean(text: str) -> bool:
    """Reads True or False (also 1/0, yes/no), in any case."""
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return values[text.lower()]


def whole(minimum: int, maximum: int = MAX_COUNT, *, point: bool = False) -> Callable[[str], int]:
    """A converter for whole numbers from `minimum` to `maximum`; with `point` also as 1000.0."""

    def convert(text: str) -> int:
        digits, _, decimals = text.partition(".")
        try:
            value = int(digits if point and not decimals.strip("0") else text)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            limit = f" and ≤ {maximum}" if value > maximum else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number ≥ {minimum}{limit}")
        return value

    return convert


def real(minimum: float, maximum: float = MAX_NUMBER) -> Callable[[str], float]:
    """A converter for finite numbers from `minimum` to `maximum`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and minimum <= value <= maximum):
            limit = f" and ≤ {maximum:g}" if value > maximum or maximum < MAX_NUMBER else ""
            raise argparse.ArgumentTypeError(f"{text!r} is not a number ≥ {minimum}{limit}")
        return value

    return convert


RATE = real(0.0, 1.0)
SEED = whole(0, 2**63 - 1)


def rate_below_one(text: str) -> float:
    """Reads a rate of dropout, which leaves something."""
    value = RATE(text)
    if value == 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number ≥ 0 and < 1")
    return value
