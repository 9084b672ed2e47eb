"""What only a process shows: terminals, colours, closed pipes, signals, and files that are written half-way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.models import BY_X
from tests.conftest import CONSOLE, FORGOTTEN, ROOT, Cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals, signals and pipes of Unix")
TWO = ("two.net", "--net", "Two")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
GRADCLI = (sys.executable, "-m", "gradcli")


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {*FORGOTTEN, *CONSOLE}}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TERM": "xterm-256color"} | changes


def on_terminal(*arguments: str, cwd: Path, columns: int = 80, **changes: str) -> tuple[int, str]:
    """The exit code, and all that a terminal of so many columns gets."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [*GRADCLI, *arguments], cwd=cwd, env=environment(**changes), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so at the end
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    return process.returncode, shown.decode().replace("\r\n", "\n")


# ── terminals ───────────────────────────────────────────────────────────────────────────────────────────────

PAGE = """\
 two.net · net Two · sens: ones (implicit) · numpy, 1 thread
  input   shape   dtype   gradient
  x       3       f64     [3  5  7]
  y       3       f64     [1  1  1]
"""


def test_a_terminal_gets_a_table_in_colour(here: Path) -> None:
    code, shown = on_terminal("grad", *TWO, "--get-all", "--threads", "1", cwd=here)
    assert code == 0
    assert COLOUR.sub("", shown) == PAGE
    assert COLOUR.search(shown)


def test_a_pipe_gets_the_same_without_colour(cli: Cli, here: Path) -> None:
    assert cli("grad", *TWO, "--get-all", "--threads", "1", cwd=here).done().out == PAGE


def test_a_table_is_no_wider_than_its_terminal(here: Path) -> None:
    given = ["eval", "-e", "arange(100) * x", "-i", "x=1.23456"]
    for columns in (60, 80, 120):
        code, shown = on_terminal(*given, cwd=here, columns=columns)
        lines = COLOUR.sub("", shown).splitlines()
        assert code == 0
        assert len(lines) > 3
        assert max(map(len, lines)) <= columns
        assert "…" not in shown  # no number is cut


def test_a_pipe_has_no_width(cli: Cli, here: Path) -> None:
    ran = cli("eval", "-e", "arange(100) * x", "-i", "x=1.23456", cwd=here, env={"COLUMNS": "20"}).done()
    assert len(ran.out.splitlines()) == 3


def test_errors_on_a_terminal_are_in_colour(here: Path) -> None:
    code, shown = on_terminal("grad", "two.net", "--nett", cwd=here)
    assert code == 2
    assert COLOUR.search(shown)
    assert COLOUR.sub("", shown) == "error[USE002]: `grad` has no option `--nett`\n   = help: did you mean `--net`?\n"


@pytest.mark.parametrize(
    ("options", "changes", "coloured"),
    [
        ([], {}, True),
        (["--color", "never"], {}, False),
        (["--color=never"], {}, False),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"TERM": "dumb"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colour_on_a_terminal(options: list[str], changes: dict[str, str], coloured: bool, here: Path) -> None:
    for arguments in (["grad", *TWO, *options], ["grad", "-e", "(", *options]):
        _, shown = on_terminal(*arguments, cwd=here, **changes)
        assert bool(COLOUR.search(shown)) == coloured


@pytest.mark.parametrize(
    ("options", "changes", "coloured"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_in_a_pipe(options: list[str], changes: dict[str, str], coloured: bool, here: Path) -> None:
    for arguments in (["grad", *TWO, "--format", "table"], ["grad", "-e", "("]):
        ran = subprocess.run(
            [*GRADCLI, *arguments, *options], cwd=here, env=environment(**changes), capture_output=True, check=False
        )
        assert bool(COLOUR.search((ran.stdout + ran.stderr).decode())) == coloured


def test_a_plain_page_never_has_colour(here: Path) -> None:
    for form in ("plain", "json", "csv"):
        given = [*GRADCLI, "grad", *TWO, "--format", form, "--color", "always"]
        ran = subprocess.run(given, cwd=here, env=environment(FORCE_COLOR="1"), capture_output=True, check=True)
        assert not COLOUR.search(ran.stdout.decode())


def test_a_console_of_ascii(here: Path) -> None:
    changes = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run(
        [*GRADCLI, "grad", *TWO], cwd=here, env=environment(**changes), capture_output=True, check=True
    )
    assert ran.stdout.isascii()


# ── pipes ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments", [("grad", *TWO), ("rule",), ("eval", "-e", "arange(300000) * x", "-i", "x=1.5", "--json")]
)
def test_a_closed_pipe_ends_quietly(arguments: tuple[str, ...], here: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    ran = subprocess.run(
        [*GRADCLI, *arguments], cwd=here, env=environment(), stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    os.close(theirs)
    assert (ran.returncode, ran.stderr) == (0, b"")


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = line.replace("gradcli", " ".join(GRADCLI))
    return subprocess.run(
        ["sh", "-c", program], cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("gradcli grad square.net --inputs d.npz >&-", 0),
        ("gradcli grad square.net --inputs d.npz 2>&-", 0),
        ("gradcli grad square.net --inputs d.npz >&- 2>&-", 0),
        ("gradcli grad square.net --inputs d.npz <&-", 0),
        ("gradcli grad missing.net >&-", 2),
        ("gradcli grad missing.net 2>&-", 2),
        ("gradcli grad - <&-", 2),
        ("gradcli grad - 0>/dev/null", 2),
        ("gradcli grad square.net -i x=@- <&-", 2),
    ],
)
def test_streams_that_are_closed(line: str, code: int, here: Path) -> None:
    ran = shell(line, here)
    assert "Traceback" not in ran.stderr
    assert "internal error" not in ran.stderr
    assert ran.returncode == code


# ── signals ─────────────────────────────────────────────────────────────────────────────────────────────────

LONG = "net f(x: f64[n]) = sin(x) * x\ninput x = arange(600000) * 1.0\n"


def started(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*GRADCLI, *arguments],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_ctrl_c_while_it_waits(here: Path) -> None:
    process = started("grad", "-", cwd=here)
    time.sleep(0.8)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


@pytest.mark.parametrize("verb", ["bench", "profile"])
def test_ctrl_c_while_it_measures(verb: str, here: Path) -> None:
    large = ("-e", "sum(sin(x) * x)", "-i", "x=arange(2_000_000) / 7")
    process = started(verb, *large, "--seconds", "600", cwd=here)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_file_is_written_whole_or_not_at_all(sent: signal.Signals, here: Path) -> None:
    (here / "long.net").write_text(LONG)
    (here / "g.csv").write_text("old\n")
    before = {path.name for path in here.iterdir()}
    process = started("grad", "long.net", "-o", "g.csv", cwd=here)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not written_beside(here, before):
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert (here / "g.csv").read_text() == "old\n"
    assert b"Traceback" not in err
    if sent != signal.SIGKILL:
        assert {path.name for path in here.iterdir()} == before
        assert process.returncode in (130, 143, -signal.SIGTERM)


def written_beside(folder: Path, before: set[str]) -> bool:
    """Numbers are being written under another name."""
    return any(path.name not in before and path.stat().st_size for path in folder.iterdir())


def test_what_a_killed_run_leaves_is_in_nobodys_way(cli: Cli, here: Path) -> None:
    (here / ".gradcli-1-0123456789ab.part").write_bytes(b"half")
    cli("grad", *TWO, "-o", "g.npz", cwd=here).done()
    np.testing.assert_array_equal(np.load(here / "g.npz")["x"], BY_X)


# ── devices ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no endless file")
@pytest.mark.parametrize("verb", ["grad", "eval", "show", "check", "test"])
def test_an_endless_model(verb: str, cli: Cli) -> None:
    ran = cli(verb, "/dev/zero", timeout=20)
    assert ran.code == 2
    assert ran.out == ""
    assert "error[DAT110]" in ran.err


@pytest.mark.parametrize(
    "arguments", [("grad", "imports.net"), ("grad", "loads.net"), ("check", "folder"), ("test", "folder")]
)
def test_a_pipe_is_waited_for_only_where_it_is_named(arguments: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("pipe.net", "pipe.npy", "folder/pipe.net"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "imports.net").write_text('import "pipe.net" as p\nnet f(x) = x\ninput x = 1.0\n')
    (tmp_path / "loads.net").write_text('net f(x) = x\ninput x = load("pipe.npy")\n')
    ran = cli(*arguments, cwd=tmp_path, timeout=20)
    assert ran.code == (1 if arguments[0] == "test" else 2)
    assert ran.out == ""
    assert re.match(r"error\[(NAM006|DAT002|USE004|USE006)\]: ", ran.err)


def test_a_model_from_a_pipe(here: Path) -> None:
    """As `gradcli grad <(sed … model.net)` has it."""
    os.mkfifo(here / "pipe.net")
    process = started("grad", "pipe.net", "--inputs", "d.npz", "--json", cwd=here)
    (here / "pipe.net").write_text("net f(x, y) = x * y\n")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b'"data": [4.0, 5.0, 6.0]' in out
