# Types are read at run time to make options of them, so annotations stay values here: no `from __future__` import.
"""Every option once. A record is a group of options, which verbs take whole."""

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

from gradcli.cli.parameters import argument, option
from gradcli.record import record
from gradcli.request import ModelFile, Request
from gradcli.syntax.diagnostics import fail, nearest

DTYPES = ("f16", "f32", "f64")
BACKENDS = ("auto", "numpy", "cupy")
FORMATS = ("table", "plain", "json", "jsonl", "csv")
FINDINGS = ("full", "oneline", "json", "github", "sarif")
COLORS = ("auto", "always", "never")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def one_of(name: str, choices: Sequence[str]) -> Callable[[str | None], str | None]:
    """A callback that refuses other values, with the nearest one."""

    def checked(value: str | None) -> str | None:
        if value is None or value in choices:
            return value
        meant = nearest(value, choices)
        help = f"did you mean `{meant}`?" if meant else f"one of {', '.join(choices)}"
        raise fail("USE003", f"`{name}` cannot be `{value}`", help=help)

    return checked


def finite(**given: float | None) -> None:
    """Raises ModelError USE003 for a tolerance that is nan or infinite."""
    for name, value in given.items():
        if value is not None and not isfinite(value):
            raise fail("USE003", f"`--{name}` is a finite number, not `{value}`")


def memory_bytes(text: str | None) -> int | None:
    """`2G` as bytes. Raises ModelError USE003."""
    if text is None:
        return None
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in "KMGT" else ""
    digits = number.removesuffix(unit) if unit else number
    try:
        size = float(digits) * UNITS[unit]
        if size >= 1:
            return int(size)
    except (ValueError, OverflowError):
        pass
    raise fail("USE003", f"`--memory` cannot be `{text}`", help="bytes, or with K, M, G or T: `--memory 2G`")


def pairs(option_name: str, given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`NAME=VALUE` as pairs. Raises ModelError USE003."""
    found = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise fail("USE003", f"`{option_name} {text}` has no name", help=f"{option_name} NAME={text or 'VALUE'}")
        if not value.strip():
            raise fail("USE003", f"`{option_name} {text}` has no value", help=f"{option_name} {name}=VALUE")
        found.append((name.strip(), value))
    names = [name for name, _ in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise fail("USE005", f"`{option_name}` gives `{twice}` twice")
    return tuple(found)


def format_option(formats: Sequence[str], help: str) -> Any:
    return option("--format", metavar="FORMAT", callback=one_of("--format", formats), panel="Output", help=help)


def const_option(panel: str) -> Any:
    return option("-c", "--const", metavar="NAME=VALUE", panel=panel, help="Override a const or dim (repeatable).")


def dtype_option(panel: str) -> Any:
    help = "Run the model's floats in that type."
    return option("--dtype", metavar="|".join(DTYPES), callback=one_of("--dtype", DTYPES), panel=panel, help=help)


Json = Annotated[bool, option("--json", panel="Output", help="The same as --format json.")]
Rtol = Annotated[float | None, option("--rtol", metavar="R", min=0.0, panel="Comparison", help="Relative tolerance.")]
Atol = Annotated[float | None, option("--atol", metavar="A", min=0.0, panel="Comparison", help="Absolute tolerance.")]
Ulps = Annotated[
    int | None,
    option("--ulps", metavar="N", min=0, panel="Comparison", help="Floats that may lie between; 0 is bit by bit."),
]


@record
class Model:
    """Which model, and which net of it."""

    model: Annotated[
        str | None,
        argument(metavar="[MODEL]", help="A .net file, or - for standard input."),
    ] = None
    expression: Annotated[
        str | None,
        option(
            "-e", "--expr", metavar="EXPR", panel="Model", help="An expression instead of a file; its names are inputs."
        ),
    ] = None
    net: Annotated[str | None, option("--net", metavar="NAME", panel="Model", help="The entry net.")] = None
    const: Annotated[list[str] | None, const_option("Model")] = None
    dtype: Annotated[str | None, dtype_option("Model")] = None

    def file(self) -> ModelFile:
        """Raises ModelError USE004 without a model, USE005 with two."""
        if self.expression is not None:
            if self.model is not None:
                raise fail("USE005", f"`{self.model}` and `-e` are two models", help="give one of them")
            return ModelFile(text=self.expression, name="<expression>", expression=True)
        if self.model is None:
            raise fail("USE004", "no model was given", help="a .net file, `-` for standard input, or `-e 'x**2 * y'`")
        return model_file(self.model)


def model_file(path: str) -> ModelFile:
    """A path as typed, or `-`. Raises ModelError USE004 for none."""
    if not path:
        raise fail("USE004", "the path of the model is empty")
    return ModelFile(path=Path(path), name="<stdin>" if path == "-" else path)


@record
class Data:
    """What the inputs and params are."""

    input: Annotated[
        list[str] | None,
        option("-i", "--input", metavar="NAME=VALUE", panel="Data",
               help="One input: an expression, or a file (x.npy, d.npz:key, t.csv, @FILE, @-). Repeatable."),
    ] = None  # fmt: skip
    inputs: Annotated[
        str | None, option("--inputs", metavar="FILE", panel="Data", help="Inputs by name: npz, safetensors or json.")
    ] = None
    params: Annotated[
        str | None, option("--params", metavar="FILE", panel="Data", help="Params by name: npz, safetensors or json.")
    ] = None
    partial: Annotated[bool, option("--partial", panel="Data", help="Let --params lack some names.")] = False


@record
class Engine:
    """Where and how it runs."""

    backend: Annotated[
        str,
        option("--backend", metavar="|".join(BACKENDS), callback=one_of("--backend", BACKENDS), panel="Engine",
               help="Where it runs; -v says what auto chose, and why."),
    ] = "auto"  # fmt: skip
    device: Annotated[int, option("--device", metavar="N", min=0, panel="Engine", help="Which GPU.")] = 0
    threads: Annotated[
        int | None, option("--threads", metavar="N", min=1, max=1024, panel="Engine", help="How many threads.")
    ] = None
    memory: Annotated[
        str | None, option("--memory", metavar="BYTES", panel="Engine", help="The most memory to take: 512M, 2G.")
    ] = None
    fast_math: Annotated[
        bool, option("--fast-math", panel="Engine", help="Allow rewrites that are right on paper only.")
    ] = False


@record
class Voice:
    """How much is said, and in which colours."""

    color: Annotated[
        str,
        option("--color", metavar="|".join(COLORS), callback=one_of("--color", COLORS), panel="Messages",
               help="NO_COLOR and FORCE_COLOR are honoured."),
    ] = "auto"  # fmt: skip
    quiet: Annotated[bool, option("-q", "--quiet", panel="Messages", help="Errors only.")] = False
    verbose: Annotated[bool, option("-v", "--verbose", panel="Messages", help="Say what was chosen, and why.")] = False
    strict: Annotated[bool, option("--strict", panel="Messages", help="Warnings and non-finite results exit 1.")] = (
        False
    )


@record
class Output:
    """What is printed of a result, or where it is written."""

    format: Annotated[
        str | None,
        option("--format", metavar="FORMAT", panel="Output",
               help="table (on a terminal), plain (elsewhere), json, jsonl, csv."),
    ] = None  # fmt: skip
    json: Json = False
    output: Annotated[
        str | None,
        option("-o", "--output", metavar="FILE", panel="Output",
               help="Write arrays instead: npz, safetensors, npy, json or csv."),
    ] = None  # fmt: skip
    full: Annotated[bool, option("--full", panel="Output", help="Print all of a large array.")] = False
    precision: Annotated[
        int | None, option("--precision", metavar="N", min=1, max=17, panel="Output", help="Digits in tables.")
    ] = None

    def form(self, *, terminal: bool, formats: Sequence[str] = FORMATS) -> str:
        """One of `formats`. Raises ModelError USE003 for another, USE005 where options disagree."""
        one_of("--format", formats)(self.format)
        chosen = chosen_format(self.format, json=self.json)
        if chosen and self.output is not None:
            raise fail("USE005", "`-o` writes arrays instead of printing them", help="leave out `-o` or the format")
        return chosen or ("table" if terminal else "plain")


def chosen_format(given: str | None, *, json: bool) -> str | None:
    """What `--format` and its short form `--json` say together. Raises ModelError USE005 where they disagree."""
    if json and given not in (None, "json"):
        raise fail("USE005", f"`--json` and `--format {given}` disagree", help="give one of them")
    return "json" if json else given


@record
class Selection:
    """What is differentiated by."""

    get_all: Annotated[bool, option("--get-all", panel="Derivative", help="By all inputs.")] = False
    get_by_list: Annotated[
        bool, option("--get-by-list", panel="Derivative", help="By all params; with --get-all by both.")
    ] = False
    wrt: Annotated[
        str | None,
        option("--wrt", metavar="NAMES", panel="Derivative", help="By exactly these: x,l1.w or all or params."),
    ] = None
    at: Annotated[
        str | None, option("--at", metavar="NAME", panel="Derivative", help="By the value of a named line: h, l1/h.")
    ] = None

    def request(self) -> dict[str, Any]:
        """The fields of a `Request`. Raises ModelError USE005 where options disagree."""
        for name, given in (("--get-all", self.get_all), ("--get-by-list", self.get_by_list)):
            if given and self.wrt is not None:
                raise fail(
                    "USE005", f"`{name}` and `--wrt {self.wrt}` disagree", help="`--wrt` names them all: `--wrt all`"
                )
        return {name: getattr(self, name) for name in ("get_all", "get_by_list", "wrt", "at")}


@record
class Weighting:
    """How the outputs are weighted."""

    sens: Annotated[
        list[str] | None,
        option("--sens", metavar="VALUE", panel="Derivative",
               help="Weights of the output: a file, an expression, random:SEED, basis:0,0; NAME=VALUE for one."),
    ] = None  # fmt: skip

    def request(self) -> dict[str, Any]:
        """The field of a `Request`."""
        return {"sens": tuple(self.sens or ())}


@record
class Order:
    """How often is differentiated."""

    order: Annotated[int, option("--order", metavar="N", panel="Derivative", help="Differentiate N times.")] = 1

    def request(self) -> dict[str, Any]:
        """The field of a `Request`."""
        return {"order": self.order}


@record
class Question:
    """Which gradients of which model, on which data, and where: what `gradcheck`, `trace` and `explain` are about."""

    model: Model
    selection: Selection
    weighting: Weighting
    order: Order
    data: Data
    engine: Engine

    def request(self, **rest: Any) -> Request:
        """Raises ModelError USE003 or USE005 where options disagree."""
        given = {**self.selection.request(), **self.weighting.request(), **self.order.request()}
        return request_of(self.model, self.data, self.engine, **given, **rest)


def request_of(model: Model, data: Data | None = None, engine: Engine | None = None, **rest: Any) -> Request:
    """The `Request` that groups of options make together. Raises ModelError USE003 or USE005."""
    given: dict[str, Any] = {"net": model.net, "consts": pairs("-c", model.const or ()), "dtype": model.dtype}
    if data is not None:
        given |= {
            "inputs": pairs("-i", data.input or ()),
            "inputs_file": data.inputs,
            "params_file": data.params,
            "partial": data.partial,
        }
        if data.partial and data.params is None:
            raise fail("USE005", "`--partial` says something about `--params`, which was not given")
    if engine is not None:
        given |= {name: getattr(engine, name) for name in ("backend", "device", "threads", "fast_math")}
        given["memory"] = memory_bytes(engine.memory)
    return Request(**given, **rest)
