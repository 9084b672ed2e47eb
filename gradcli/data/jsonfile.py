"""JSON: nested rectangular lists of numbers, or an object of them; also what `--json` printed.

Numbers have no dtype, `true` and `false` make bool arrays; `"nan"`, `"inf"` and `"-inf"` are the numbers of that name.
Objects inside objects give dotted names: `{"l1": {"w": [1, 2]}}` holds `l1.w`. In a document of gradcli's own (schema
`gradcli.grad/1` and the like) every array keeps its dtype, and a gradient is named by what it is by: `x`, or `x,y`.
"""

from __future__ import annotations

import json
from itertools import chain
from math import inf, isinf, nan
from typing import Any

from gradcli.data.elements import MAX_RANK
from gradcli.data.files import DataFile, printable
from gradcli.data.numbers import Numbers
from gradcli.data.stored import Stored, pick
from gradcli.data.text import decode
from gradcli.ir.aval import DTYPES, INTS
from gradcli.syntax.diagnostics import ModelError

WORDS = {"nan": nan, "inf": inf, "-inf": -inf}
SCHEMAS = ("gradcli.grad/", "gradcli.eval/")


class _Twice(Exception):
    """An object names this key twice."""


def open_json(file: DataFile, key: str | None = None) -> Stored:
    """A list of lists, or the array named `key` of an object; raises DAT006 to DAT008, DAT030 to DAT034."""
    document = _parse(file)
    if isinstance(document, dict):
        return pick(_object(document, file), key, file)
    if key is not None:
        raise file.fail("DAT007", "{} holds one array, without a name", help=f"leave the key out: `{file.name}`")
    return _stored(document, None, file)


def open_json_archive(file: DataFile) -> dict[str, Stored]:
    """Every array of an object, by its dotted name."""
    document = _parse(file)
    if not isinstance(document, dict):
        raise file.fail(
            "DAT007", "{} holds one array, without a name", help='write an object: `{"x": [[1, 2], [3, 4]]}`'
        )
    return _object(document, file)


def _parse(file: DataFile) -> Any:
    text = decode(file)
    if not text.strip():
        raise file.fail("DAT004", "{} holds no numbers")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_float=_float, parse_int=_int)
    except json.JSONDecodeError as problem:
        message = problem.msg[:1].lower() + problem.msg[1:]
        raise file.fail("DAT033", f"{{}}:{problem.lineno}:{problem.colno}: not JSON: {message}") from None
    except RecursionError:
        raise file.fail("DAT033", "{} is nested too deeply") from None
    except OverflowError as problem:
        raise file.fail("DAT034", f"{{}}: the number {problem} is beyond f64") from None
    except _Twice as twice:
        raise file.fail("DAT008", f"{{}} names `{printable(str(twice))}` twice") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise _Twice(key)
        fields[key] = value
    return fields


def _float(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise OverflowError(_shortened(text))
    return value


def _int(text: str) -> int:
    if len(text) > 308:  # about 2**1023; Python refuses to read more than 4300 digits at all
        raise OverflowError(_shortened(text))
    return int(text)


def _shortened(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}… ({len(text)} characters)"


def _object(document: dict[str, Any], file: DataFile) -> dict[str, Stored]:
    schema = document.get("schema")
    if isinstance(schema, str) and schema.startswith("gradcli."):
        return _own_document(document, schema, file)
    stored: dict[str, Stored] = {}
    left = list(reversed(document.items()))
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left.extend((f"{name}.{inner}", item) for inner, item in reversed(value.items()))
        elif name in stored:
            raise file.fail("DAT008", f"{{}} names `{printable(name)}` twice")
        else:
            stored[name] = _stored(value, name, file)
    return stored


def _own_document(document: dict[str, Any], schema: str, file: DataFile) -> dict[str, Stored]:
    """The `grads` and `values` of a result that gradcli printed; values beside gradients are `value/out`."""
    if not schema.startswith(SCHEMAS):
        raise file.fail("DAT033", f"{{}} has the schema {printable(schema)}, which holds no arrays that can be read")
    stored: dict[str, Stored] = {}
    grads = document.get("grads") or []
    try:
        entries = [(",".join(entry["wrt"]), entry) for entry in grads]
        prefix = "value/" if schema.startswith("gradcli.grad/") else ""
        for entry in document.get("values") or []:
            entries.append((prefix + entry["name"].removeprefix(prefix), entry))
        for name, entry in entries:
            if name in stored:
                raise file.fail("DAT008", f"{{}} names `{printable(name)}` twice")
            stored[name] = _stored(entry["data"], name, file, dtype=entry["dtype"], shape=tuple(entry["shape"]))
    except (KeyError, TypeError, AttributeError):
        raise file.fail(
            "DAT033", f"{{}} says that it is {printable(schema)}, but its arrays are not as in one"
        ) from None
    return stored


def _stored(
    value: Any, key: str | None, file: DataFile, *, dtype: str | None = None, shape: tuple[int, ...] | None = None
) -> Stored:
    """Nested lists as an array; with `shape` and `dtype` what the document says of it, which must hold."""
    what = file.name if key is None else f"{file.name}:{printable(key)}"
    found, leaves = _flatten(value, what, file)
    kinds = set(map(type, leaves))
    if str in kinds:
        leaves = [WORDS.get(leaf, leaf) if isinstance(leaf, str) else leaf for leaf in leaves]
        kinds = set(map(type, leaves)) | {float}
    if not kinds <= {int, float} and kinds != {bool}:
        raise _not_a_number(leaves, kinds, found, what, file)
    numbers = Numbers.empty()
    numbers.extend(leaves, whole=kinds <= {int})
    if kinds == {bool}:
        dtype = dtype or "bool"
    if shape is not None and found != shape and (leaves or 0 not in shape or found != shape[: len(found)]):
        raise file.fail("DAT032", f"{what} says that its shape is {list(shape)}, but its data has {list(found)}")
    if dtype is not None:
        _check_dtype(dtype, leaves, kinds, what, file)
    return numbers.stored(file, key, found if shape is None else shape, dtype)


def _check_dtype(dtype: str, leaves: list[Any], kinds: set[type], what: str, file: DataFile) -> None:
    """Raises DAT013 where the numbers of a document are not of the dtype that it says."""
    if dtype not in DTYPES:
        raise file.fail("DAT013", f"{what} says that it holds {printable(str(dtype))[:40]}")
    holds = kinds == {bool} if dtype == "bool" else kinds == {int} if dtype in INTS else bool not in kinds
    bits = 63 if dtype == "i64" else 31
    if leaves and not (holds and (dtype not in INTS or all(-(1 << bits) <= leaf < 1 << bits for leaf in leaves))):
        raise file.fail("DAT013", f"{what} says that it holds {dtype}, and its numbers are not")


def _flatten(value: Any, what: str, file: DataFile) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and leaves, level by level; raises DAT032 for ragged lists."""
    shape: list[int] = []
    level = [value]
    while level and isinstance(level[0], list):
        width = len(level[0])
        for index, item in enumerate(level):
            if not isinstance(item, list) or len(item) != width:
                has = f"{len(item)} numbers" if isinstance(item, list) else "a number, not a list"
                raise file.fail(
                    "DAT032", f"{what}{_place(index, shape)} has {has}, {what}{_place(0, shape)} has {width}"
                )
        shape.append(width)
        if len(shape) > MAX_RANK:
            raise file.fail("DAT033", f"{what} is nested more than {MAX_RANK} deep")
        level = list(chain.from_iterable(level))
    if any(isinstance(item, list) for item in level):
        index = next(index for index, item in enumerate(level) if isinstance(item, list))
        raise file.fail("DAT032", f"{what}{_place(index, shape)} is a list, {what}{_place(0, shape)} is a number")
    return tuple(shape), level


def _place(index: int, shape: list[int]) -> str:
    """The index of leaf number `index`, as in `[1][0]`."""
    parts = []
    for size in reversed(shape):
        index, rest = divmod(index, size)
        parts.append(f"[{rest}]")
    return "".join(reversed(parts))


def _not_a_number(leaves: list[Any], kinds: set[type], shape: tuple[int, ...], what: str, file: DataFile) -> ModelError:
    good = (int, float)
    index = next(
        (index for index, leaf in enumerate(leaves) if type(leaf) not in good and type(leaf) is not bool), None
    )
    if index is None:
        return file.fail("DAT031", f"{what} mixes numbers with true and false")
    leaf, help = leaves[index], None
    shown = "null" if leaf is None else "an object" if isinstance(leaf, dict) else f"the text {printable(leaf)[:40]!r}"
    if leaf is None:
        help = 'write `"nan"` where a number is missing'
    return file.fail("DAT031", f"{what}{_place(index, list(shape))} is {shown}, not a number", help=help)
