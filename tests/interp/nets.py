"""Small `.net` texts in, arrays or diagnostics out: what the tests of the language share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli
from gradcli import api
from gradcli.request import CaseResult, CheckedNet, ModelFile, Request
from gradcli.syntax.diagnostics import Diagnostic

NUMPY = {"f16": "float16", "f32": "float32", "f64": "float64", "i32": "int32", "i64": "int64", "bool": "bool"}


def values(text: str, *, net: str | None = None, **inputs: Any) -> list[Any]:
    """What the entry net gives, one array for each output."""
    return list(gradcli.compile(text, net=net).eval(**inputs))


def value(text: str, *, net: str | None = None, **inputs: Any) -> Any:
    """The single output of the entry net."""
    (out,) = values(text, net=net, **inputs)
    return out


def calc(expression: str, signature: str = "", **inputs: Any) -> Any:
    """The value of one expression over typed inputs: `calc("x + 1", "x: f64[2]", x=…)`."""
    return value(f"net main({signature}) = {expression}\n", **inputs)


def grads(text: str, *, net: str | None = None, **options: Any) -> dict[str, Any]:
    """Gradients by name."""
    return dict(gradcli.compile(text, net=net).grad(**options).items())


def refused(text: str, code: str, under: str | None = None, *, says: str = "", net: str | None = None,
            consts: dict[str, Any] | None = None, verb: str = "eval", **inputs: Any) -> Diagnostic:  # fmt: skip
    """The first diagnostic of a model that is refused, with its code, the text under the caret and its words held."""
    with pytest.raises(gradcli.ModelError) as caught:
        getattr(gradcli.compile(text, net=net, consts=consts), verb)(**inputs)
    first = caught.value.diagnostics[0]
    assert first.code == code, f"{first}\nhelp: {first.help}"
    assert says in first.message, first.message
    if under is not None:
        assert first.span is not None
        assert first.span.text == under
    return first


def refused_expression(
    expression: str, code: str, under: str | None = None, signature: str = "", **more: Any
) -> Diagnostic:
    return refused(f"net main({signature}) = {expression}\n", code, under, **more)


def other_lines(found: Diagnostic) -> list[int]:
    """The lines of the other places that a diagnostic names."""
    return [label.span.line for label in found.others]


def repaired(text: str, old: str, new: str, found: Diagnostic, **inputs: Any) -> list[Any]:
    """Apply what the help suggests: it names `new`, and with it in the place of `old` the model runs."""
    assert found.help is not None
    assert new in found.help, found.help
    assert old in text
    return values(text.replace(old, new, 1), **inputs)


def run_cases(text: str, directory: Path) -> list[CaseResult]:
    """The results of a file's cases."""
    path = directory / "model.net"
    path.write_text(text)
    return api.test([path], request=Request())


def expects(directory: Path, text: str, *lines: str) -> CaseResult:
    """The result of one case that holds `lines` after the items of `text`."""
    body = "\n".join(f"  {line}" for line in lines)
    (result,) = run_cases(f'{text}\ncase "it" {{\n{body}\n}}\n', directory)
    return result


def proved(text: str, directory: Path) -> CheckedNet:
    """What `check` says of the last net of a file, whose named dims are symbols."""
    path = directory / "model.net"
    path.write_text(text)
    (found,) = api.check([ModelFile(path)], Request())
    assert not found.diagnostics
    return found.nets[-1]


def graph_text(text: str, **inputs: Any) -> str:
    """What a model is elaborated into."""
    return api.show(ModelFile(Path("model.net"), text), Request(arrays=inputs), "graph")


def same(found: Any, wanted: Any, dtype: str | None = None, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Value, shape and, where given, dtype agree."""
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape, f"{found.shape} is not {wanted.shape}"
    if dtype is not None:
        assert str(found.dtype) == NUMPY[dtype], f"{found.dtype} is not {dtype}"
    if rtol or atol:
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol)
    else:
        np.testing.assert_array_equal(found, wanted)
