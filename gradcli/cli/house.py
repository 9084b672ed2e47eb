"""`new`, `env` and `completion`."""

import sys
from pathlib import Path
from typing import Annotated

from gradcli.cli.completion import SHELLS, script
from gradcli.cli.options import Voice, one_of
from gradcli.cli.parameters import argument, option
from gradcli.cli.speak import settle
from gradcli.syntax.diagnostics import DONE


def new_verb(
    name: Annotated[str, argument(metavar="NAME", help="What the model is called.")],
    directory: Annotated[
        str, option("--directory", metavar="DIR", panel="Output", help="Where to write it (default: here).")
    ] = ".",
    *,
    voice: Voice,
) -> int:
    """
    Writes a small model with a case that passes.

    Nothing that exists is overwritten.

    Examples:
    gradcli new first
    gradcli test first.net
    """
    settle(voice)
    from gradcli import api

    for path in api.new_model(name, Path(directory)):
        sys.stdout.write(f"{path}\n")
    return DONE


def env_verb(
    json: Annotated[bool, option("--json", panel="Output", help="As JSON.")] = False,
    *,
    voice: Voice,
) -> int:
    """
    Prints versions and backends: what a bug report should hold.

    Examples:
    gradcli env
    """
    settle(voice)
    from gradcli import api

    facts = api.environment()
    if json:
        from json import dumps

        sys.stdout.write(dumps(facts, ensure_ascii=False, indent=1) + "\n")
        return DONE
    width = max(map(len, facts), default=0)
    sys.stdout.write("".join(f"{name:<{width}}  {value}\n" for name, value in facts.items()))
    return DONE


def completion_verb(
    shell: Annotated[
        str,
        argument(metavar="bash|zsh|fish", help="Which shell.", callback=one_of("completion", SHELLS)),
    ],
) -> int:
    """
    Prints a script that completes verbs, options, their values and model files.

    The script is whole: no process is started while you type.

    Examples:
    gradcli completion bash > ~/.local/share/bash-completion/completions/gradcli
    gradcli completion zsh > ~/.zfunc/_gradcli
    gradcli completion fish > ~/.config/fish/completions/gradcli.fish
    """
    sys.stdout.write(script(shell))
    return DONE
