"""The rooms of the house and the one direction of imports between them, read from the syntax trees of the modules.

`cli → api → verbs → the way through → {interp, ad, passes, plan, backends} → ops → ir → syntax.diagnostics`
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gradcli"

# Modules at the top that are one room with another.
TOGETHER = {
    **dict.fromkeys(("checking", "weights"), "opening"),
    **dict.fromkeys(("directions",), "running"),
    **dict.fromkeys(("rolled",), "engine"),
    **dict.fromkeys(("asking", "planning", "recalling"), "python"),
    **dict.fromkeys(("house", "laying"), "api"),
}

# What the modules of a room may import of gradcli besides their own room. A room is a folder, or a module at the top.
COMMON = {"ir", "request", "syntax", "syntax.diagnostics"}
MAY_IMPORT: dict[str, set[str]] = {
    "syntax.diagnostics": set(),  # with syntax.codes: what an error is, and what is said about it
    "syntax": {"syntax.diagnostics"},
    "record": set(),  # what classes are made with, everywhere
    "collecting": set(),  # when Python looks for garbage
    "request": {"syntax.diagnostics"},
    "facts": {"syntax.diagnostics"},  # what a verb tells its report
    "ir": {"syntax.diagnostics"},
    "ops": {"ir", "syntax.diagnostics"},
    "data": {"ir", "request", "syntax.diagnostics"},
    "ad": {"ops", "ir", "syntax.diagnostics"},
    "passes": {"ops", "ir", "syntax.diagnostics"},
    "plan": {"ops", "ir", "syntax.diagnostics"},
    "backends": {"plan", "ops", "ir", "syntax.diagnostics"},
    "emitting": {"ops", "ir", "syntax.diagnostics"},  # programs of other systems
    "interp": {"ad", "data", "ops", "ir", "syntax", "syntax.diagnostics"},
    "report": {"data", "ops", "facts", *COMMON},
    # The way through, from a request to arrays.
    "differentiate": {"interp", "ad", "passes", *COMMON},
    "engine": {"interp", "ad", "passes", "plan", "backends", "data", *COMMON},
    "opening": {"engine", "interp", "plan", "data", *COMMON},
    "zeros": {"differentiate", "engine", "ad", "plan", *COMMON},
    "running": {"zeros", "opening", "differentiate", "engine", "interp", *COMMON},
    # The verbs, none of which knows another, but for the cases' tolerance.
    "testing": {"opening", "engine", "interp", *COMMON},
    "matrices": {"running", "zeros", "opening", "differentiate", "engine", "interp", "ad", "passes", "plan", *COMMON},
    "gradcheck": {
        *("running", "opening", "differentiate", "engine", "interp", "ad", "passes", "plan", "data", "ops"),
        *COMMON,
    },
    "explain": {"running", "opening", "differentiate", "engine", "interp", "ad", "passes", *COMMON},
    "trace": {
        *("running", "opening", "differentiate", "engine", "interp", "passes", "plan", "backends", "report", "facts"),
        *COMMON,
    },
    "diff": {"testing", "running", "opening", "engine", "interp", "data", "facts", *COMMON},
    "measure": {
        *("running", "opening", "differentiate", "engine", "interp", "plan", "backends", "emitting", "facts"),
        *COMMON,
    },
    "manual": {"interp", "data", "ops", *COMMON},
    # What calls them.
    "api": {
        *("testing", "matrices", "gradcheck", "explain", "trace", "diff", "measure", "manual", "facts", "gradcli"),
        *("running", "opening", "differentiate", "engine", "interp", "passes", "plan", "backends"),
        *COMMON,
    },
    "python": {"api", "matrices", "running", "opening", "differentiate", "engine", "interp", "plan", "facts", *COMMON},
    "cli": {"api", "report", "facts", "request", "syntax.diagnostics", "gradcli"},
    "gradcli": {"python", "syntax.diagnostics"},  # gradcli/__init__.py, the public names
    "__main__": {"cli", "syntax.diagnostics", "gradcli"},
}

# Packages that cost start-up, or that only one place may know, and who may import them.
ONLY = {
    "lark": lambda module: module in ("syntax.parse", "syntax.tables"),
    "rich": lambda module: room(module) == "report",
    "cupy": lambda module: module == "backends.cupy",
    "jax": lambda module: room(module) == "emitting",
    "cupyx": lambda module: module == "backends.cupy",
    "typer": lambda module: room(module) in ("cli", "__main__"),
}

LINES = 400
LONGER: dict[str, str] = {"syntax._tables": "written by tools/make_tables.py"}  # module: why it may be longer


def module_of(path: Path) -> str:
    """`ir.graph` for gradcli/ir/graph.py, `ir` for gradcli/ir/__init__.py, `gradcli` for gradcli/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts) or "gradcli"


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    """The room a module (or a dotted name below `gradcli`) belongs to."""
    if module.startswith(("syntax.diagnostics", "syntax.codes")):
        return "syntax.diagnostics"
    first = module.split(".")[0]
    return TOGETHER.get(first, first)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names of everything a module imports, wherever in its text, with the line."""
    here = module_of(path)
    package = "gradcli" if path.name == "__init__.py" and here == "gradcli" else f"gradcli.{here}"
    if path.name != "__init__.py":
        package = package.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            name = ".".join(part for part in (base, node.module or "") if part)
            for alias in node.names:
                below = f"{name}.{alias.name}"
                yield (below if below.removeprefix("gradcli.") in MODULES else name), node.lineno


def test_every_room_has_its_rule() -> None:
    assert {room(module) for module in MODULES} <= set(MAY_IMPORT)


def test_the_rules_point_one_way() -> None:
    done: set[str] = set()
    left = {name: set(allowed) for name, allowed in MAY_IMPORT.items()}
    left["api"].discard("gradcli")  # for the version, which lies in the package itself
    while left:
        free = {name for name, allowed in left.items() if allowed <= done}
        assert free, f"a cycle among {sorted(left)}"
        done |= free
        left = {name: allowed for name, allowed in left.items() if name not in free}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    allowed = MAY_IMPORT[room(module)] | {room(module), "record", "collecting"}
    wrong = [
        f"gradcli/{MODULES[module].relative_to(PACKAGE)}:{line} imports {name}"
        for name, line in imports(MODULES[module])
        if name.split(".")[0] == "gradcli"
        and room(name.removeprefix("gradcli").removeprefix(".") or "gradcli") not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ONLY)
def test_only_its_own_place_knows_a_package(package: str) -> None:
    wrong = [
        f"{module}:{line}"
        for module, path in MODULES.items()
        if not ONLY[package](module)
        for name, line in imports(path)
        if name.split(".")[0] == package
    ]
    assert not wrong, f"{package} is imported by {wrong}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_and_says_what_it_is(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= LINES or module in LONGER, f"{lines} lines: asking to be two"
    assert not (module in LONGER and lines <= LINES), f"{module} is short enough to leave the list"
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "no module docstring"


# ── start-up ────────────────────────────────────────────────────────────────────────────────────────────────

GUIDE = "models/guide/matmul.net"
NEVER = {"cupy", "jax", "torch", "pydantic", "lark", "xml", "http", "asyncio", "logging", "argparse"}
LIGHT = {"numpy", "rich", "typer", "inspect", "dataclasses", "fractions", "shutil", "gradcli.plan", "gradcli.backends"}
PLAIN = {"rich", "typer"}
WITHOUT: dict[str, set[str]] = {  # of each command that a plain line asks for, what it does not import
    "--version": LIGHT | {"pathlib", "gradcli.cli"},
    "--help": LIGHT | {"pathlib", "gradcli.interp", "gradcli.ir"},
    "grad --help": {"numpy", "rich", "gradcli.interp", "gradcli.ir"},
    f"check {GUIDE}": LIGHT | {"gradcli.passes"},
    f"check {GUIDE} --json": LIGHT | {"gradcli.passes"},
    f"show {GUIDE} --stage ast": LIGHT | {"gradcli.passes", "gradcli.ad"},
    f"show {GUIDE}": LIGHT | {"gradcli.passes", "gradcli.ad"},
    f"show {GUIDE} --stage grad": LIGHT,
    f"show {GUIDE} --stage optimized": PLAIN | {"gradcli.backends"},
    f"show {GUIDE} --stage plan": PLAIN | {"gradcli.backends.numpy", "gradcli.backends.frame"},
    "ops tanh": LIGHT | {"gradcli.passes"},
    "rule SHP201": LIGHT | {"gradcli.passes"},
    "completion bash": {"numpy", "rich", "gradcli.interp", "gradcli.ir"},
    f"diff {GUIDE} {GUIDE} --structure": {"numpy", "rich", "typer", "inspect", "gradcli.plan"},
    f"diff {GUIDE} {GUIDE} --json": PLAIN,
    f"test {GUIDE}": PLAIN,
    f"grad {GUIDE} --json": PLAIN | {"gradcli.emitting", "gradcli.data.random", "gradcli.ad.forward"},
    f"grad {GUIDE}": PLAIN | {"shutil"},
    f"eval {GUIDE} --json": PLAIN,
    "jvp -e x*x -i x=1.5 --tangent x=1 --json": PLAIN,
    f"jac {GUIDE} --json": PLAIN,
    "hess -e x*x -i x=1.5 --json": PLAIN,
    f"explain {GUIDE} --numbers": PLAIN,
    f"trace {GUIDE} --json": PLAIN,
    f"gradcheck {GUIDE} --json": PLAIN,
    f"bench {GUIDE} --rounds 1 --json": PLAIN | {"gradcli.emitting"},
    f"profile {GUIDE} --rounds 1 --json": PLAIN | {"gradcli.emitting"},
    "env": {"rich", "numpy", "typer"},
}

LOADED = """
import sys
before = set(sys.modules)  # what an environment loads with every Python
import json
sys.argv = ["gradcli", *json.loads(sys.argv[1])]
from gradcli.__main__ import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
sys.stderr.write("\\n" + json.dumps([code or 0, sorted({*sys.modules} - before)]))
"""


@pytest.mark.parametrize("line", WITHOUT)
def test_what_a_command_imports(line: str) -> None:
    given = json.dumps(line.split())
    ran = subprocess.run([sys.executable, "-c", LOADED, given], cwd=ROOT, capture_output=True, text=True, check=True)
    code, loaded = json.loads(ran.stderr.rpartition("\n")[2])
    assert code == 0, ran.stderr
    assert not (NEVER | WITHOUT[line]) & set(loaded)


def test_every_verb_has_its_list() -> None:
    from gradcli.cli.verbs import VERBS

    assert {line.split()[0] for line in WITHOUT} >= set(VERBS) - {"new"}  # which writes a file


def test_a_command_leaves_no_file_behind(tmp_path: Path) -> None:
    """What is made once is made when gradcli is built: nothing is cached from run to run, for others to spoil."""
    folders = {name: str(tmp_path / name) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "PYTHONPYCACHEPREFIX")}
    for folder in folders.values():
        Path(folder).mkdir()
    given = os.environ | folders | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    for line in ("check", "grad --json", "test", "trace", "explain", "profile --rounds 1"):
        verb, *options = line.split()
        words = [sys.executable, "-m", "gradcli", verb, str(ROOT / GUIDE), *options]
        subprocess.run(words, cwd=folders["HOME"], env=given, capture_output=True, check=True)
    assert {path.name for path in tmp_path.rglob("*")} == set(folders)
