"""What `gradcli explain` prints, held whole: `python -m tests.explain.test_pages` writes the pages again."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gradcli import api
from gradcli.report.equations import render
from gradcli.report.signs import columns
from gradcli.request import Request
from tests.explain.cases import EVERY, model

PAGES = Path(__file__).parent / "pages"
WIDTH = 80

SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "survey": ("survey/survey.net", {"get_all": True, "numbers": True}),
    "survey_forward": ("survey/survey.net", {"along": ("x1=1", "x2=0"), "mode": "forward", "numbers": True}),
    "survey_order_2": ("survey/survey.net", {"get_all": True, "order": 2}),
    "survey_narrowed": ("survey/survey.net", {"wrt": "x2"}),
    "matmul": ("guide/matmul.net", {"get_all": True, "get_by_list": True}),
    "matmul_sens": ("guide/matmul.net", {"sens": ("basis:0,0",)}),
    "element": ("guide/element.net", {"get_all": True}),
    "stop_gradient": ("guide/stop_gradient.net", {"get_all": True}),
    "perceptron": ("perceptron", {"get_by_list": True}),
    "layers": ("layers", {"get_by_list": True, "numbers": True}),
    "where": ("where", {"get_all": True, "numbers": True}),
    "broadcast": ("broadcast", {"get_all": True}),
    "loop": ("loop", {"get_all": True}),
    "while": ("while", {}),
    "nested": ("nested", {}),
    "write": ("write", {"get_all": True}),
    "two": ("two", {"get_all": True}),
    "inner": ("inner", {}),
    "again": ("again", {}),
    "recurrent": ("recurrent", {}),  # by x alone: no adjoint of w is carried
    "deep": ("deep", {"net": "Deep"}),  # nor in loops inside of loops, nor in what is computed again
    "biased": ("biased", {"wrt": "b"}),  # sums name their dims, in loops too
    "decay": ("decay", {"get_all": True}),  # no turn of the adjoint reads x: its bars are bars all the same
    "vector": ("vector", {"get_all": True}),  # products of both kinds
    "nested_forward": ("nested", {"mode": "forward"}),  # tangents have dots inside of loops, too
    "swap": ("swap", {"get_all": True}),
}
FORMS = {"text": "txt", "md": "md", "latex": "tex"}
ALSO = {
    "biased": ("latex",),
    "matmul": ("md", "latex"),
    "recurrent": ("latex",),
    "loop": ("md", "latex"),
    "survey": ("md",),
}  # besides text
FILES = [(name, form) for name in SHOWN for form in ("text", *ALSO.get(name, ()))]


def page(name: str, form: str) -> str:
    file, options = SHOWN[name]
    options = dict(options)
    mode, numbers = options.pop("mode", "reverse"), options.pop("numbers", False)
    made = api.explain(model(file), Request(**options), mode=mode, numbers=numbers)
    return render(made, form, width=WIDTH, precision=None, color=False)


@pytest.mark.parametrize(("name", "form"), FILES)
def test_the_page_is_as_it_was(name: str, form: str) -> None:
    assert page(name, form) == (PAGES / f"{name}.{FORMS[form]}").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_a_page_keeps_to_its_columns(case: tuple[str, dict[str, Any]]) -> None:
    made = api.explain(model(case[0]), Request(**case[1]), mode="reverse", numbers=False)
    text = render(made, "text", width=WIDTH, precision=None, color=False)
    long = [line for line in text.splitlines() if columns(line) > WIDTH and " " in line.strip()]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_latex_is_ascii_with_its_braces_closed(case: tuple[str, dict[str, Any]]) -> None:
    made = api.explain(model(case[0]), Request(**case[1]), mode="reverse", numbers=True)
    text = render(made, "latex", width=WIDTH, precision=None, color=False)
    assert text.isascii(), [letter for letter in text if not letter.isascii()]
    plain = text.replace("\\{", "").replace("\\}", "").replace("\\\\", "")
    assert plain.count("{") == plain.count("}")
    assert len(re.findall(r"\\left(?![a-z])", text)) == len(re.findall(r"\\right(?![a-z])", text))
    assert text.count("$") % 2 == 0


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    for case in EVERY:
        made = api.explain(model(case[0]), Request(**case[1]), mode="reverse", numbers=True)
        text = render(made, "latex", width=WIDTH, precision=None, color=False)
        (tmp_path / "page.tex").write_text(text, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert ran.returncode == 0, f"{case}: {ran.stdout.decode('utf-8', 'replace')[-2000:]}"


def test_markdown_tables_have_one_width() -> None:
    for name, form in FILES:
        if form == "md":
            rows = [line for line in page(name, form).splitlines() if line.startswith("|")]
            assert len({row.count("|") for row in rows}) == 1, name


def main() -> None:
    for name, form in FILES:
        (PAGES / f"{name}.{FORMS[form]}").write_text(page(name, form), encoding="utf-8")


if __name__ == "__main__":
    main()
