"""Input of hostile or clumsy users: refused in words, with the right exit code, in time, and never with a traceback."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Cli, Ran

SECONDS = 20  # of a busy machine; each of these takes well below one


def refused(ran: Ran, *codes: str) -> None:
    """Exit 2, or 3 where memory lacks, nothing on standard output, and a message with one of the codes."""
    assert "Traceback" not in ran.err
    assert "internal error" not in ran.err
    assert (ran.code, ran.out) == (3 if "NUM001" in codes else 2, "")
    assert ran.err.startswith(tuple(f"error[{code}" for code in codes or ("",))), ran.err


def net(body: str) -> str:
    return f"net f(x: f64[2]) = {body}\ninput x = [1.0, 2.0]\n"


def block(*lines: str) -> str:
    return "net f(x) {\n" + "\n".join(f"  {line}" for line in lines) + "\n  return x\n}\ninput x = 1.0\n"


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────────

DEEP = 100_000
TEXTS = {
    "nothing": ("", "NAM008"),
    "blanks": (" \n\t\n", "NAM008"),
    "an open parenthesis": (net("(x"), "SYN002"),
    "many open parentheses": (net("(" * DEEP), "SYN002"),
    "a wrong bracket": (net("(x]"), "SYN003"),
    "a bracket too many": (net("x)"), "SYN00"),
    "a text without end": (net('"x'), "SYN014"),
    "an operator without a value": (net("x +"), "SYN005"),
    "a NUL": (net("x\0"), "SYN017"),
    "an escape sequence": (net("x\x1b[31m"), "SYN017"),
    "a mark that turns the writing": (net("x\u202e"), "SYN017"),
    "a letter that looks like another": (net("\u0445 + 1"), "NAM001"),
    "400 digits": (net("1" * 400), "SYN009"),
    "an exponent of 400 digits": (net("1e" + "9" * 400), "SYN009"),
    "a tower of powers": (net("2**(2**(2**(2**(2**2))))"), "SHP103"),
    "a long tower of powers": (net("x" + "**2" * 1000), "SHP103"),
    "a large power": ("const c = 2**100000000\nnet f(x) = x * c\ninput x = 1.0\n", "SHP103"),
    "an integer that does not fit": (net("i32(2147483648) * x"), "SHP103"),
    "lists in lists": (net("[" * 1000 + "x" + "]" * 1000), "SHP107"),
    "a ragged list": (net("[[1, 2], [3]]"), "SHP104"),
    "an index out of range": (net("x[2]"), "SHP108"),
    "an index of 400 digits": (net("x[" + "9" * 400 + "]"), "SYN009"),
    "too many indices": (net("x[0, 0]"), "SHP109"),
    "a step of 0": (net("x[::0]"), "SHP110"),
    "a negative size": (net("zeros([-1]) * x[0]"), "SHP110"),
    "a size beyond 63 bits": (net("zeros([9223372036854775807, 9223372036854775807]) * x[0]"), "SHP110"),
    "dims that grow": (block(*["x = stack([x, x])"] * 70), ""),
    "shapes that disagree": (net("x + [1, 2, 3]"), "SHP101"),
    "sizes that disagree": (net("x @ [[1.0, 2.0, 3.0]]"), "SHP201"),
    "a text as a number": (net('x + "one"'), "SHP113"),
    "a misspelt operator": (net("sinn(x)"), "NAM001"),
    "a misspelt argument": (net("sum(x, axsi=0)"), "NAM022"),
    "too many arguments": (net("sin(x, x)"), "NAM020"),
    "too few arguments": (net("atan2(x)"), "NAM021"),
    "a name of a million letters": (net("a" * 1_000_000), "NAM001"),
    "a net that calls itself": (net("f(x)"), "NAM002"),
    "nets that call each other": ("net main(x) = g(x)\nnet g(x) = main(x)\ninput x = 1.0\n", "NAM002"),
    "consts that mean each other": ("const a = b\nconst b = a\nnet f(x) = a * x\ninput x = 1.0\n", "NAM002"),
    "a layer inside itself": ("net f(x) {\n  layer l = f\n  return l(x)\n}\ninput x = 1.0\n", "NAM002"),
    "an import of itself": ('import "m.net" as m\nnet f(x) = x\ninput x = 1.0\n', "NAM005"),
    "an import of nothing": ('import "nowhere.net" as m\nnet f(x) = x\ninput x = 1.0\n', "NAM006"),
    "an import of a folder": ('import "." as m\nnet f(x) = x\ninput x = 1.0\n', "NAM006"),
    "a million million turns": (block("for i in 0..1_000_000_000_000 {", "x = sin(x)", "}"), "NUM003"),
    "a thousand times a thousand turns": (
        block("for i in 0..1000 {", "for j in 0..1000 {", "x = x + ones([i + j + 1])[0]", "}", "}"),
        "NUM003",
    ),
    "twenty loops in each other": (block(*["for i in 0..2 {"] * 20, "x = sin(x)", *["}"] * 20), "NUM003"),
    "blocks in blocks": (block(*["for i in 0..1 {"] * 3000, "x = sin(x)", *["}"] * 3000), "SYN022"),
    "a million layers": (
        "net g(x) = x\nnet main(x) {\n  layer h[1000000] = g\n  return h[0](x)\n}\ninput x = 1.0\n",
        "SHP110",
    ),
    "data larger than any memory": ("net f(x: f64[n]) = sum(x)\ninput x = arange(100000000000) * 2.0\n", "NUM001"),
    "a param larger than any memory": (
        "net f(x) {\n  param w: f64[1000000, 1000000] = zeros()\n  return sum(w) * x\n}\ninput x = 1.0\n",
        "NUM001",
    ),
    "a result larger than any memory": (net("exp(outer(arange(1000000) * x[0], arange(1000000) * x[1]))"), "NUM001"),
}


@pytest.mark.parametrize("weights", ["ones", "random:1", "basis:1"])
@pytest.mark.parametrize("verb", ["grad", "hess", "trace", "gradcheck", "explain"])
def test_weights_larger_than_any_memory(verb: str, weights: str, cli_inside: Cli, tmp_path: Path) -> None:
    """Where the output itself need not be made."""
    (tmp_path / "m.net").write_text(net("pad(x, 9223372036854775807)"))
    options = [] if weights == "ones" else ["--sens", weights]
    numbers = ["--numbers"] if verb == "explain" else []
    ran = cli_inside(verb, "m.net", *options, *numbers, cwd=tmp_path)
    if weights == "ones" and verb in ("grad", "hess"):
        ran.done()
    else:
        refused(ran, "NUM001")


NOT_NEEDED = ("cholesky(-eye(2))", "inv(zeros([2, 2]))", "one_hot([5], 2)", "ones([2])[i64(9 + 0 * x[0])]")


@pytest.mark.parametrize("value", NOT_NEEDED)
def test_data_that_no_gradient_needs(value: str, cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text(net(value))
    ran = cli_inside("gradcheck", "m.net", cwd=tmp_path)
    refused(ran, "NUM00", "SHP108")
    assert "--> m.net:1:" in ran.err


def test_gradcheck_of_an_infinite_value_is_quiet(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text("net f(x) = x\ninput x = [nan, inf, -inf, 0.0]\n")
    ran = cli("gradcheck", "m.net", "--sens", "[1, 0, 0, 1]", cwd=tmp_path)
    assert ran.code in (0, 1)
    assert "Warning" not in ran.err


@pytest.mark.parametrize("verb", ["eval", "grad", "jac", "hess", "gradcheck"])
def test_a_terminal_of_one_column(verb: str, cli_inside: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    cli_inside(verb, "-e", "x * x", "-i", "x=2", "--format", "table").done()


def test_a_thousand_dims(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text(net("x[" + ", ".join(["None"] * 1000) + "]"))
    refused(cli_inside("eval", "m.net", cwd=tmp_path), "SHP107")


@pytest.mark.parametrize("what", TEXTS)
def test_a_model(what: str, cli_inside: Cli, tmp_path: Path) -> None:
    text, code = TEXTS[what]
    (tmp_path / "m.net").write_text(text)
    before = time.monotonic()
    refused(cli_inside("eval", "m.net", cwd=tmp_path), code)
    assert time.monotonic() - before < SECONDS


SOUND = {
    "parentheses": net("(" * DEEP + "x" + ")" * DEEP),
    "signs": net("-" * 10_000 + "x"),
    "terms": net("x" + " + x" * 10_000),
    "calls": net("sin(" * 5000 + "x" + ")" * 5000),
    "transposes": net("x" + ".T" * 10_000),
    "members": net("sum([" + ", ".join(["1.0"] * 50_000) + "]) * x"),
    "a long comment": net("x # " + "a" * 1_000_000),
    "long blanks": net(" " * 1_000_000 + "x"),
    "many digits": net("0." + "1" * 100_000 + " * x"),
    "a byte order mark": "\ufeff" + net("x"),
    "carriage returns": net("x").replace("\n", "\r\n"),
    "a chain of consts": "const c0 = 1.0\n"
    + "".join(f"const c{at + 1} = c{at} + 1\n" for at in range(300))
    + net("c300 * x"),
    "many inputs": "net f("
    + ", ".join(f"x{at}" for at in range(500))
    + ") = x0\n"
    + "".join(f"input x{at} = 1.0\n" for at in range(500)),
}


@pytest.mark.parametrize("what", SOUND)
def test_a_model_that_is_long_and_sound(what: str, cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_bytes(SOUND[what].encode())
    before = time.monotonic()
    cli_inside("grad", "m.net", cwd=tmp_path).done()
    assert time.monotonic() - before < SECONDS


@pytest.mark.parametrize(
    "content",
    [
        b"net f(x) = x # \xff\n",
        "net f(x) = x\n".encode("utf-16"),
        b"\0" * 1000,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"\x7fELF" + bytes(range(256)),
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}",
        b"PK\x03\x04" + bytes(range(256)),
        b'{"a": 1}',
    ],
)
@pytest.mark.parametrize("verb", ["grad", "eval", "show"])
def test_a_file_that_is_no_model(verb: str, content: bytes, cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_bytes(content)
    refused(cli_inside(verb, "m.net", cwd=tmp_path), "DAT111", "SYN")


def test_errors_are_counted_when_there_are_many(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text(block(*(f"y{at} = q{at}" for at in range(5000))))
    ran = cli_inside("grad", "m.net", cwd=tmp_path)
    refused(ran, "NAM001")
    assert len(ran.err) < 50_000


def test_names_are_cut_when_they_are_long(cli_inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.net").write_text(net("a" * 1_000_000))
    for arguments in (["m.net"], ["-e", "x", "-i", "x=1", "--wrt", "w" * 100_000]):
        ran = cli_inside("grad", *arguments, cwd=tmp_path)
        refused(ran)
        assert len(ran.err) < 2000


# ── data ────────────────────────────────────────────────────────────────────────────────────────────────────


def npy(header: str, data: bytes = bytes(16), version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin-1").ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text + data


def layout(descr: str = "'<f8'", shape: str = "(2,)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def tensors(header: Any, data: bytes = bytes(16), length: int | None = None) -> bytes:
    text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        for name, content in members:
            made.writestr(name, content)
    return stream.getvalue()


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}, None], dtype=object), allow_pickle=True)
    return stream.getvalue()


GOOD = npy(layout())
X = {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}
FILES: dict[str, tuple[str, bytes, str]] = {
    "an empty npy": ("npy", b"", "DAT004"),
    "wrong magic": ("npy", b"\x93NUMPX" + GOOD[6:], "DAT010"),
    "a header that is cut off": ("npy", GOOD[:40], "DAT011"),
    "data that are cut off": ("npy", GOOD[:-1], "DAT011"),
    "data that go on": ("npy", GOOD + b"\0", "DAT011"),
    "a version of the future": ("npy", npy(layout(), version=b"\x09\x00"), "DAT010"),
    "a negative size": ("npy", npy(layout(shape="(-1,)")), "DAT010"),
    "a huge shape": ("npy", npy(layout(shape="(10000000000000,)")), "DAT011"),
    "a shape beyond 64 bits": ("npy", npy(layout(shape="(9" * 1 + "9" * 30 + ",)")), "DAT010"),
    "a product beyond 64 bits": ("npy", npy(layout(shape="(4294967296, 4294967296, 4294967296)")), "DAT010"),
    "a shape that computes": ("npy", npy(layout(shape="(9**9**9,)")), "DAT010"),
    "a shape of floats": ("npy", npy(layout(shape="(2.0,)")), "DAT010"),
    "a header that is code": ("npy", npy("__import__('os').system('true')"), "DAT010"),
    "a header without keys": ("npy", npy("{}"), "DAT010"),
    "objects": ("npy", pickled(), "DAT012"),
    "a pickle": ("npy", b"\x80\x04K\x01.", "DAT012"),
    "complex numbers": ("npy", npy(layout("'<c16'", "(1,)")), "DAT013"),
    "letters": ("npy", npy(layout("'<U2'", "(2,)")), "DAT013"),
    "records": ("npy", npy(layout("[('a', '<f8')]")), "DAT013"),
    "an npz called npy": ("npy", archive(("x.npy", GOOD)), "DAT005"),
    "an empty npz": ("npz", b"", "DAT004"),
    "an npz that is cut off": ("npz", archive(("x.npy", GOOD))[:-10], "DAT020"),
    "an npz of nothing": ("npz", archive(), "DAT007"),
    "a member that is no npy": ("npz", archive(("x.npy", b"junk")), "DAT010"),
    "a member of objects": ("npz", archive(("x.npy", pickled())), "DAT012"),
    "compressed by another method": ("npz", archive(("x.npy", GOOD), method=zipfile.ZIP_BZIP2), "DAT020"),
    "a bomb": (
        "npz",
        archive(("x.npy", GOOD + bytes(200_000_000)), method=zipfile.ZIP_DEFLATED),
        "DAT011",
    ),
    "a huge shape in an npz": ("npz", archive(("x.npy", npy(layout(shape="(10000000000000,)")))), "DAT011"),
    "an empty safetensors": ("safetensors", b"", "DAT004"),
    "a header of 2**63 bytes": ("safetensors", tensors({"x": X}, length=2**63), "DAT021"),
    "a header that is no JSON": ("safetensors", tensors("hello"), "DAT021"),
    "a header that is a list": ("safetensors", tensors("[]"), "DAT021"),
    "a deep header": ("safetensors", tensors("[" * 100_000), "DAT021"),
    "a name twice": ("safetensors", tensors(f'{{"x": {json.dumps(X)}, "x": {json.dumps(X)}}}'), "DAT008"),
    "a negative size in a header": ("safetensors", tensors({"x": X | {"shape": [-2]}}), "DAT021"),
    "a shape that is too large": ("safetensors", tensors({"x": X | {"shape": [10**13]}}), "DAT021"),
    "offsets behind the end": ("safetensors", tensors({"x": X | {"data_offsets": [8, 24]}}), "DAT0"),
    "offsets that are reversed": ("safetensors", tensors({"x": X | {"data_offsets": [16, 0]}}), "DAT021"),
    "arrays over each other": ("safetensors", tensors({"x": X, "y": X}), "DAT021"),
    "a type that nobody knows": ("safetensors", tensors({"x": X | {"dtype": "F128"}}), "DAT013"),
    "an empty csv": ("csv", b"", "DAT004"),
    "a csv of line ends": ("csv", b"\n\n\n", "DAT004"),
    "a ragged csv": ("csv", b"1,2\n3\n", "DAT032"),
    "letters in a csv": ("csv", b"1\nb\n", "DAT031"),
    "a fraction in a csv": ("csv", b"1/2\n1\n", "DAT031"),
    "a hexadecimal number in a csv": ("csv", b"0x10\n1\n", "DAT031"),
    "a field without a number": ("csv", b"1,,2\n", "DAT031"),
    "a quote that is never closed": ("csv", b'"1\n2\n', "DAT031"),
    "a csv of UTF-16": ("csv", "1\n2\n".encode("utf-16"), "DAT030"),
    "a csv with a NUL": ("csv", b"1\0\n", "DAT030"),
    "5000 digits in a csv": ("csv", b"9" * 5000 + b"\n", "DAT034"),
    "an empty json": ("json", b"", "DAT004"),
    "a json that is cut off": ("json", b"[1, 2", "DAT033"),
    "a json that goes on": ("json", b"[1, 2] 3", "DAT033"),
    "a ragged json": ("json", b"[[1, 2], [3]]", "DAT032"),
    "null in a json": ("json", b"[1, null]", "DAT031"),
    "letters in a json": ("json", b'["a"]', "DAT031"),
    "bools and numbers in a json": ("json", b"[true, 1]", "DAT031"),
    "a key twice": ("json", b'{"x": [1, 2], "x": [3, 4]}', "DAT008"),
    "a deep json": ("json", b"[" * 100_000 + b"]" * 100_000, "DAT033"),
    "5000 digits in a json": ("json", b"[" + b"9" * 5000 + b"]", "DAT034"),
    "a json of a byte that is no text": ("json", b'["\xe9"]', "DAT030"),
    "a forged document": (
        "json",
        b'{"schema": "gradcli.grad/1", "grads": [{"wrt": ["x"], "shape": [-1], "dtype": "f64", "data": [1]}]}',
        "DAT03",
    ),
}


@pytest.fixture
def double(tmp_path: Path) -> Path:
    (tmp_path / "double.net").write_text("net f(x: f64[n]) {\n  param w: f64 = 2.0\n  return w * x\n}\n")
    return tmp_path


@pytest.mark.parametrize("what", FILES)
def test_a_file_of_data(what: str, cli_inside: Cli, double: Path) -> None:
    suffix, content, code = FILES[what]
    (double / f"x.{suffix}").write_bytes(content)
    refused(cli_inside("eval", "double.net", "-i", f"x=x.{suffix}", cwd=double), code)
    if suffix not in ("npy", "csv"):
        refused(cli_inside("eval", "double.net", "--inputs", f"x.{suffix}", cwd=double), "DAT", "NAM")
        ran = cli_inside("eval", "double.net", "-i", "x=[1]", "--params", f"x.{suffix}", "--partial", cwd=double)
        assert ran.code in (0, 2)
        assert "internal error" not in ran.err


@pytest.mark.parametrize("option", [["-i", "x=@-"], ["--sens", "@-", "-i", "x=[1, 2]"]])
@pytest.mark.parametrize("content", [b"", b"\0", b"junk", GOOD[:40], GOOD[:-1], pickled(), b"1,2\n", b"[1, 2]"])
def test_standard_input(content: bytes, option: list[str], double: Path, cli_inside: Cli, monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    refused(cli_inside("grad", "double.net", *option, cwd=double), "DAT")


def test_standard_input_twice(cli: Cli, double: Path) -> None:
    refused(cli("grad", "-", "-i", "x=@-", cwd=double, stdin=(double / "double.net").read_bytes()), "DAT", "USE")


def test_names_in_data_do_not_reach_the_terminal(cli_inside: Cli, double: Path) -> None:
    """Neither colours nor a turned writing direction come from the names in a file."""
    (double / "x.json").write_text(json.dumps({"a\x1b[31m\u202eb": [1]}))
    for arguments in (
        ["--inputs", "x.json"],
        ["-i", "x=[1]", "--params", "x.json"],
        ["-i", "x=[1]", "--check", "x.json"],
    ):
        ran = cli_inside("grad", "double.net", *arguments, cwd=double)
        assert ran.code in (1, 2)
        assert "\x1b" not in ran.out + ran.err
        assert "\u202e" not in ran.out + ran.err


def test_lists_of_names_are_cut(cli_inside: Cli, double: Path) -> None:
    (double / "many.json").write_text(json.dumps({f"k{at}": 1 for at in range(20_000)}))
    for arguments in (["--inputs", "many.json"], ["-i", "x=[1]", "--params", "many.json"], ["-i", "x=many.json"]):
        ran = cli_inside("grad", "double.net", *arguments, cwd=double)
        refused(ran, "DAT")
        assert len(ran.err) < 2000
