"""Completion scripts, written out from the options themselves."""

from __future__ import annotations

from typing import Any

from gradcli.cli.verbs import VERBS
from gradcli.record import record

SHELLS = ("bash", "zsh", "fish")
FORMATS = "table plain json jsonl csv"
WORDS = {
    "--format": {
        "check": "full oneline json github sarif",
        "test": "plain json jsonl",
        "jac": f"{FORMATS} svg",
        "hess": f"{FORMATS} svg",
        "gradcheck": "table plain json",
        "bench": "table plain json",
        "profile": "table plain json csv speedscope",
    }
}
STAGES = "ast graph grad optimized plan"


@record
class Known:
    """One option of a verb: its names, its meaning, and the words that may follow (None: no value; empty: a file)."""

    names: tuple[str, ...]
    help: str
    words: str | None


def script(shell: str) -> str:
    """The whole script for one of SHELLS."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]({name: _known(name) for name in VERBS})


def _known(name: str) -> list[Known]:
    from gradcli.cli.app import command

    found = []
    for param in command(VERBS[name]).params:
        if param.param_type_name == "option":
            found.append(Known(tuple(param.opts), param.help or "", None if param.is_flag else _words(name, param)))
    return [*found, Known(("-h", "--help"), "What the verb does, and its options.", None)]


def _words(verb: str, param: Any) -> str:
    metavar = param.metavar or ""
    if "|" in metavar:
        return str(metavar.replace("|", " "))
    for option in param.opts:
        if option == "--format":
            return WORDS["--format"].get(verb, FORMATS)
        if option == "--stage":
            return STAGES
    return ""


def _bash(verbs: dict[str, list[Known]]) -> str:
    options = "\n".join(
        f"    {verb}) options='{' '.join(name for known in every for name in known.names)}' ;;"
        for verb, every in verbs.items()
    )
    chosen = {f"{verb}:{name}": known.words for verb, every in verbs.items() for known in every for name in known.names}
    values = "\n".join(
        f"    {key}) COMPREPLY=($(compgen -W '{words}' -- \"$word\")); return ;;"
        for key, words in chosen.items()
        if words
    )
    return f"""\
# bash completion of gradcli
_gradcli() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" verb="${{COMP_WORDS[1]}}" options=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{" ".join(verbs)} --help --version' -- "$word"))
    return
  fi
  case "$verb:$before" in
{values}
    completion:completion) COMPREPLY=($(compgen -W '{" ".join(SHELLS)}' -- "$word")); return ;;
  esac
  case "$verb" in
{options}
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _gradcli gradcli
"""


def _zsh(verbs: dict[str, list[Known]]) -> str:
    summaries = "\n".join(f"    '{name}:{_zsh_text(VERBS[name].summary)}'" for name in verbs)
    cases = []
    for verb, every in verbs.items():
        lines = [line for known in every for line in _zsh_option(known)]
        rest = f"'1:shell:({' '.join(SHELLS)})'" if verb == "completion" else "'*:model:_files'"
        cases.append(f"    {verb})\n      _arguments -s \\\n        " + " \\\n        ".join([*lines, rest]) + " ;;")
    body = "\n".join(cases)
    return f"""\
#compdef gradcli
# zsh completion of gradcli
_gradcli() {{
  local -a verbs
  verbs=(
{summaries}
  )
  if (( CURRENT == 2 )); then
    _describe 'verb' verbs
    return
  fi
  local verb=$words[2]
  shift words
  (( CURRENT-- ))
  case $verb in
{body}
  esac
}}
if [ "$funcstack[1]" = _gradcli ]; then _gradcli "$@"; else compdef _gradcli gradcli; fi
"""


def _zsh_option(known: Known) -> list[str]:
    value = "" if known.words is None else f":value:({known.words})" if known.words else ":value:_files"
    return [f"'*{name}[{_zsh_text(known.help)}]{value}'" for name in known.names]


def _zsh_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    return escaped.replace("'", "'\\''")


def _fish(verbs: dict[str, list[Known]]) -> str:
    lines = ["# fish completion of gradcli"]
    for name in verbs:
        lines.append(
            f"complete -c gradcli -n __fish_use_subcommand -f -a {name} -d '{_fish_text(VERBS[name].summary)}'"
        )
    for verb, every in verbs.items():
        seen = f"complete -c gradcli -n '__fish_seen_subcommand_from {verb}'"
        lines.extend(f"{seen} {_fish_option(known)}" for known in every)
        if verb == "completion":
            lines.append(f"{seen} -f -a '{' '.join(SHELLS)}'")
    return "\n".join(lines) + "\n"


def _fish_option(known: Known) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in known.names)
    value = "" if known.words is None else f" -x -a '{known.words}'" if known.words else " -r"
    return f"{names}{value} -d '{_fish_text(known.help)}'"


def _fish_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
