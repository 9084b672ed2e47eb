"""`here`: a folder with the shared models; `grads`: the gradients of one command by name, through `--json`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli import models
from tests.conftest import Cli

Grads = Callable[..., dict[str, Any]]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    models.write(tmp_path)
    return tmp_path


@pytest.fixture
def grads(cli_inside: Cli, here: Path) -> Grads:
    def run(*arguments: str) -> dict[str, Any]:
        document = cli_inside("grad", *arguments, "--json", cwd=here).done().json()
        return {",".join(grad["wrt"]): np.array(grad["data"]) for grad in document["grads"]}

    return run
