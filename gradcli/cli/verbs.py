"""The verbs, their one-line meanings, and where each lives. Only the module of the verb that runs is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcli.record import record

if TYPE_CHECKING:
    from collections.abc import Callable

HELP = ("-h", "--help", "help")


@record
class Verb:
    """`module` and the function of the same name as the verb hold the options; `group` is its place in the help."""

    name: str
    module: str
    group: str
    summary: str

    def load(self) -> Callable[..., int]:
        """Its function, which states what it takes."""
        from importlib import import_module

        found: Callable[..., int] = getattr(import_module(self.module), f"{self.name}_verb")
        return found


VERBS = {
    verb.name: verb
    for verb in (
        Verb("grad", "gradcli.cli.derivatives", "Derivatives", "exact derivatives of a model, of any order"),
        Verb("eval", "gradcli.cli.derivatives", "Derivatives", "the value of a model"),
        Verb("jvp", "gradcli.cli.matrices", "Derivatives", "the derivative along a direction: tangents of the outputs"),
        Verb("jac", "gradcli.cli.matrices", "Derivatives", "the Jacobian, every output by every input, as a matrix"),
        Verb("hess", "gradcli.cli.matrices", "Derivatives", "the Hessian, or its product with a vector"),
        Verb("gradcheck", "gradcli.cli.gradcheck", "Trust", "hold the gradients of a model against differences"),
        Verb("check", "gradcli.cli.trust", "Trust", "prove the shapes of models for all sizes, without data"),
        Verb("test", "gradcli.cli.trust", "Trust", "run the cases that live with models"),
        Verb("trace", "gradcli.cli.tracing", "Trust", "where a number went bad: the line of the first nan or inf"),
        Verb("diff", "gradcli.cli.differing", "Trust", "what changed between two models, or two stored results"),
        Verb(
            "explain", "gradcli.cli.explaining", "Understanding", "how a gradient comes about: each adjoint's equation"
        ),
        Verb(
            "show",
            "gradcli.cli.understanding",
            "Understanding",
            "a stage of the compiler: ast, graph, grad, optimized, plan",
        ),
        Verb("bench", "gradcli.cli.measuring", "Understanding", "how long a gradient takes, against eager and JAX"),
        Verb("profile", "gradcli.cli.measuring", "Understanding", "where the time goes: each line, each step"),
        Verb(
            "ops", "gradcli.cli.understanding", "Understanding", "the operators, with their derivatives and conventions"
        ),
        Verb("rule", "gradcli.cli.understanding", "Understanding", "what an error code means, and its repair"),
        Verb("new", "gradcli.cli.house", "House", "write a small model with a case that passes"),
        Verb("env", "gradcli.cli.house", "House", "versions and backends, for a bug report"),
        Verb("completion", "gradcli.cli.house", "House", "completion for bash, zsh and fish"),
    )
}

EXAMPLES = (
    "gradcli grad model.net --get-all --sens s.npy",
    "gradcli grad -e 'x**2 * y' -i x=4 -i y=5 --get-all --order 2",
    "gradcli check models/",
)


def overview() -> str:
    """What `gradcli --help` prints."""
    lines = ["Usage: gradcli VERB MODEL [options]", "", "Exact derivatives of networks that are written as text."]
    for group in dict.fromkeys(verb.group for verb in VERBS.values()):
        lines += ["", f"{group}:"]
        lines += [f"  {verb.name:<12}{verb.summary}" for verb in VERBS.values() if verb.group == group]
    lines += [
        "",
        "Everywhere:",
        f"  {'--help':<12}what a verb does, its options, and an example",
        f"  {'--version':<12}the version",
    ]
    lines += ["", "MODEL is a .net file, - for standard input, or -e EXPR.", "", "Examples:"]
    return "\n".join([*lines, *(f"  {example}" for example in EXAMPLES), ""])
