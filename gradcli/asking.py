"""What is asked by keywords in Python, as the request that the command line would make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gradcli.ir.aval import FLOATS
from gradcli.record import replace
from gradcli.request import Request, Verb
from gradcli.syntax.diagnostics import fail

RUNNING = ("inputs", "params", "out", "dtype", "backend", "device", "threads", "memory", "fast_math", "consts")
SELECTING = ("get_all", "get_by_list", "wrt", "at", "value")
OPTIONS: dict[Verb, tuple[str, ...]] = {  # of each verb; all other keywords are inputs
    "grad": (*RUNNING, *SELECTING, "sens", "order", "why"),
    "eval": (*RUNNING, *SELECTING, "sens", "order"),
    "jvp": (*RUNNING, *SELECTING, "tangent", "order"),
    "jac": (*RUNNING, *SELECTING, "order", "sparse"),
    "hess": (*RUNNING, *SELECTING, "sens", "vec", "sparse"),
}
TRUSTING: dict[str, tuple[str, ...]] = {  # what makes no arrays
    "gradcheck": (*(name for name in RUNNING if name != "out"), *SELECTING[:-1], "sens", "order"),
    "trace": (*(name for name in RUNNING if name != "out"), *SELECTING[:-1], "sens", "order"),
}
ALONG = ("tangent", "vec")  # what a direction is called, in jvp and in hess
BACKENDS = ("auto", "numpy", "cupy")
FLAGS = ("get_all", "get_by_list", "value", "sparse", "fast_math")
NUMBERS = {"device": 0, "threads": 1, "memory": 1}  # options that are whole numbers, and the least they may be


def asked(request: Request, given: Mapping[str, Any], inputs: Mapping[str, Any]) -> Request:
    """A request from options and inputs. Raises ModelError USE003, DIF003 or DIF007 for values they cannot have."""
    rest = dict(given)
    wrt = _names(rest.pop("wrt", request.wrt))
    why = rest.pop("why", request.why)
    why = (why,) if isinstance(why, str) else tuple(why)
    sens = rest.pop("sens", None)
    along = next((rest.pop(name) for name in ALONG if name in rest), None)
    arrays = {**mapping_of("inputs", rest.pop("inputs", None)), **inputs}
    params = mapping_of("params", rest.pop("params", None))
    consts = const_texts(rest.pop("consts", None) or {}) or request.consts
    rest.pop("out", None)
    _check(rest)
    given = {"arrays": arrays, "param_arrays": params, "sens_arrays": sens, "along_arrays": along}
    return replace(request, wrt=wrt, why=why, consts=consts, **given, **rest)


def const_texts(consts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Values of consts as expressions; a text is one already."""
    return tuple((name, _text(value)) for name, value in consts.items())


def mapping_of(label: str, given: Any) -> Mapping[str, Any]:
    """Arrays by name. Raises ModelError USE003 for anything else."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise fail("USE003", f"`{label}` is a mapping of names to arrays, not {type(given).__name__}")
    return given


def true_or_false(name: str, value: Any) -> None:
    """Raises ModelError USE003 for anything else."""
    if not isinstance(value, bool):
        raise fail("USE003", f"`{name}` is True or False, not {value!r}")


def whole_number(name: str, value: Any, least: int) -> None:
    """Raises ModelError USE003 for anything else, but for None."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise fail("USE003", f"`{name}` is a whole number from {least} on, not {value!r}")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "tolist"):  # NumPy, CuPy
        return _text(value.tolist())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    raise fail("USE003", f"a const is a number, an array or an expression, not {type(value).__name__}")


def _names(wrt: Any) -> str | None:
    if wrt is None or isinstance(wrt, str):
        return wrt
    if isinstance(wrt, Iterable):
        names = list(wrt)
        if names and all(isinstance(name, str) for name in names):
            return ",".join(names)
    raise fail("DIF003", f"`wrt` is a name or a list of names, not {wrt!r}", help='`wrt="x"`, `wrt=["x", "l1.w"]`')


def _check(options: Mapping[str, Any]) -> None:
    order = options.get("order", 1)
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= 10:
        raise fail("DIF007", f"`order` is a whole number from 1 to 10, not {order!r}")
    for name, words in (("dtype", (None, *FLOATS)), ("backend", BACKENDS)):
        if options.get(name, words[0]) not in words:
            text = ", ".join(word for word in words if word is not None)
            raise fail("USE003", f"`{name}` is one of {text}, not {options[name]!r}")
    for name in FLAGS:
        true_or_false(name, options.get(name, False))
    for name, least in NUMBERS.items():
        whole_number(name, options.get(name), least)
    if not isinstance(options.get("at"), str | None):
        raise fail("USE003", f"`at` is the name of a line, not {options['at']!r}")
