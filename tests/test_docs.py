"""The generated pages: operators' examples run, errors' texts show them; and links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from gradcli import api
from gradcli.manual.operators import OperatorDoc, operator_docs
from gradcli.manual.rules import entries
from gradcli.request import ModelFile, Request
from gradcli.syntax.codes import Entry
from tests.conftest import ROOT, Cli
from tools import make_docs
from tools.transcripts import Scratch, pages

MODEL_WORDS = ("net ", "const ", "dim ", "import ", "input ", "edition ", "case ", "#")
EXAMPLES = [pytest.param(doc, id=doc.name) for doc in operator_docs() if doc.example.startswith("gradcli ")]
PIPES = [pytest.param(doc, id=doc.name) for doc in operator_docs() if "| gradcli " in doc.example]
MODELS = [
    pytest.param(entry, id=entry.code)
    for entry in entries().values()
    if entry.code[:3] in ("SYN", "NAM", "SHP", "DIF", "EDN", "NUM") and entry.broken.startswith(MODEL_WORDS)
]
OTHERS = [ROOT / name for name in ("CHANGELOG.md", "benchmarks/README.md", "models/README.md")]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]*`")
LINK = re.compile(r"\]\((?P<page>[^)#:]*)(?:#(?P<anchor>[^)]*))?\)")


@pytest.mark.parametrize("doc", EXAMPLES)
def test_the_example_of_an_operator_runs(doc: OperatorDoc, cli_inside: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(3))
    _, *arguments = shlex.split(doc.example)
    ran = cli_inside(*arguments, cwd=tmp_path).done()
    assert "gradient" in ran.out
    assert "NUM090" not in ran.err


@pytest.mark.parametrize("doc", PIPES)
def test_the_example_of_a_transformation_runs(doc: OperatorDoc, tmp_path: Path) -> None:
    printed, code = Scratch(tmp_path).run(doc.example)
    assert code == 0, printed


def test_every_operator_has_an_example() -> None:
    assert {param.id for param in (*EXAMPLES, *PIPES)} == {doc.name for doc in operator_docs()}


@pytest.mark.parametrize("entry", MODELS)
def test_the_text_of_a_page_shows_its_error(entry: Entry, tmp_path: Path) -> None:
    path = tmp_path / ("self.net" if "self.net" in entry.broken else "model.net")
    for text, wanted in ((entry.broken, {entry.code}), (entry.repaired, set())):
        path.write_text(text, encoding="utf-8")
        (found,) = api.check([ModelFile(path, name=path.name)], Request())
        codes = {diagnostic.code for diagnostic in found.diagnostics}
        assert codes - ({"NAM008"} - wanted) == wanted, text  # some texts are items without a net


@pytest.mark.parametrize("page", [*pages(), *OTHERS], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.finditer(CODE.sub("", FENCED.sub("", page.read_text(encoding="utf-8")))):
        target = page.parent / link["page"] if link["page"] else page
        assert target.exists(), f"{page.name}: {link[0]}"
        if link["anchor"]:
            assert link["anchor"] in anchors(target), f"{page.name}: {link[0]}"


def anchors(page: Path) -> set[str]:
    """Of headings, as GitHub makes them, and those written out."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ +(.*)$", FENCED.sub("", text), re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


def test_cells_keep_to_their_column() -> None:
    page = make_docs.operators_page()
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("|")]
    assert set(widths) <= {4, 5}
