"""`gradcli ops`: one page for each operator, from the statement that defines it."""

from __future__ import annotations

from gradcli.interp.modules import load_prelude
from gradcli.interp.operators import SURFACES, Surface
from gradcli.ir.primitive import primitive, registry
from gradcli.record import record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import fail, nearest

SYNONYMS = {
    "add": ("x + y",), "sub": ("x - y",), "mul": ("x * y",), "div": ("x / y",), "neg": ("-x",), "pow": ("x ** y",),
    "matmul": ("x @ y",), "transpose": ("x.T",), "where": ("x if cond else y",), "shape": ("x.shape",),
    "expand_dims": ("x[:, None]",),
}  # fmt: skip

NARROW = {
    "acosh": "1.5", "lgamma": "2.5", "digamma": "2.5", "log": "2.0", "log2": "2.0", "log10": "2.0", "sqrt": "2.0",
    "rsqrt": "2.0", "atanh": "0.5", "asin": "0.5", "acos": "0.5",
}  # fmt: skip

EXAMPLES = {
    "where": "where(x > 0, x, 0)", "matmul": "x @ x.T", "concat": "concat([x, x], axis=0)", "stack": "stack([x, x])",
    "reshape": "reshape(x, [4])", "split": "split(x, 2)[0]", "take": "take(x, [0, 0], axis=0)",
    "broadcast_to": "broadcast_to(x, [2, 2, 2])", "expand_dims": "expand_dims(x, 0)", "full": "x * full([2, 2], 3)",
    "zeros": "x + zeros([2, 2])", "ones": "x * ones([2, 2])", "eye": "x @ eye(2)", "arange": "x * arange(2)",
    "linspace": "x * linspace(0, 1, 2)", "size": "x / size(x)", "shape": "x * x.shape[0]", "flip": "flip(x, axis=0)",
    "stop_gradient": "x * stop_gradient(x)", "load": 'x * load("w.npy")', "clip": "clip(x, -1, 2)",
    "dot": "dot(x[0], x[1])", "outer": "outer(x[0], x[1])", "squeeze": "squeeze(x[None])", "pow": "x ** 3",
    "argmax": "x * argmax(x)", "argmin": "x * argmin(x)",
    "any": "x * any(x > 0)", "all": "x * all(x > 0)", "isfinite": "where(isfinite(x), x, 0)",
    "isnan": "where(isnan(x), 0, x)", "einsum": 'einsum("ij,kj->ik", x, x)', "trace": "trace(x)", "diag": "diag(x)",
    "tril": "tril(x)", "triu": "triu(x, k=1)", "solve": "solve(x, [1, 2])", "inv": "inv(x)", "det": "det(x)",
    "slogdet": "slogdet(x)[1]", "cholesky": "cholesky(x @ x.T)",
    "pad": 'pad(x, 1, mode="reflect")', "roll": "x * roll(x, 1, axis=1)",
    "repeat": "repeat(x, 2, axis=0)", "tile": "tile(x, [2, 1])",
    "take_along": "take_along(x, [[1, 1], [0, 1]], axis=1)", "one_hot": "x * one_hot([0, 1], 2)",
    "conv1d": "conv1d(x[None], [[[1, -1], [0.5, 2]]])",
    "conv2d": "conv2d(x[None, None], [[[[1, -1]]]], padding=1)", "max_pool2d": "max_pool2d(x[None], 2)",
    "avg_pool2d": "avg_pool2d(x[None], 2)", "layer_norm": "x * layer_norm(x, 2)", "rms_norm": "rms_norm(x, 2)",
    "attention": "attention(x, x, x, causal=true)", "mse": "mse(x, [[1, 0], [0, 1]])",
    "cross_entropy": "cross_entropy(x, [0, 1])",
    "binary_cross_entropy": "binary_cross_entropy(sigmoid(x), [[1, 0], [0, 1]])",
}  # fmt: skip
FAMILIES = (
    "elementwise", "activations", "reductions", "linear algebra", "shape", "neural", "makers", "derivatives",
    "composed",
)  # fmt: skip
OF_A_NET = {
    "grad": "grad(f)(x)", "value_and_grad": "value_and_grad(f)(x)", "jvp": "jvp(f, tangent=1.0)(x)",
    "value_and_jvp": "value_and_jvp(f, tangent=1.0)(x)", "jacobian": "jacobian(f)(x)", "hessian": "hessian(f)(x)",
    "hvp": "hvp(f, v=1.0)(x)", "vmap": "vmap(f)([x, 2 * x])", "checkpoint": "checkpoint(f)(x)",
}  # fmt: skip
MATRIX = "[[1, -2], [0.5, 3]]"


@record
class OperatorDoc:
    """What `gradcli ops NAME` prints; `example` is a command that runs."""

    name: str
    signature: str
    family: str
    doc: str
    derivative: str
    conventions: str
    example: str
    synonyms: tuple[str, ...] = ()


def operator_docs() -> list[OperatorDoc]:
    """Every operator of the language, by family, then by name."""
    import gradcli.ops  # noqa: F401 - fills the registry

    pages = [_page(surface) for surface in SURFACES.values()]
    pages.extend(_prelude_page(net) for net in load_prelude().nets.values() if not net.name.id.startswith("_"))
    order = {family: k for k, family in enumerate(FAMILIES)}
    return sorted(pages, key=lambda p: (order[p.family], p.name))


def operator_doc(name: str) -> OperatorDoc:
    """One operator's page. Raises ModelError NAM016 for an unknown one."""
    pages = {page.name: page for page in operator_docs()}
    if name in pages:
        return pages[name]
    guess = nearest(name, pages)
    raise fail(
        "NAM016",
        f"there is no operator {name}",
        help=f"did you mean `{guess}`?" if guess else "`gradcli ops` lists them",
    )


def _page(surface: Surface) -> OperatorDoc:
    name = surface.name
    rule = primitive(surface.prim) if surface.prim in registry() and surface.prim is not None else None
    doc = surface.doc or (rule.doc if rule else "")
    formula = rule.formula if rule else ""
    if not formula and rule is not None:
        formula = {"linear": "linear: the adjoint of itself", "bilinear": "bilinear"}.get(rule.kind, "")
        formula = "zero where it exists" if rule.flat else formula
    if name in ("zeros", "ones", "eye", "arange", "linspace", "size", "shape", "one_hot"):
        formula = "none: it does not depend on arrays"
    elif rule is None and surface.family in ("activations", "linear algebra", "shape", "neural"):
        formula = "follows from what it is made of"
    return OperatorDoc(
        name,
        surface.signature,
        surface.family,
        doc,
        formula,
        rule.conventions if rule else "",
        _example(name, surface.signature),
        SYNONYMS.get(name, ()),
    )


def _example(name: str, signature: str) -> str:
    if name in OF_A_NET:
        got = "value, slope" if name.startswith("value_and_") else "y"
        model = f"net f(x) = x ** 3\\nnet main(x) {{ {got} = {OF_A_NET[name]}; return {got} }}\\n"
        return f"printf '{model}' | gradcli eval - -i x=2.0"
    if name == "load":
        return f"gradcli grad -e '{EXAMPLES[name]}' -i x=2.0"
    if name in EXAMPLES or "axis" in signature:
        return f"gradcli grad -e '{EXAMPLES.get(name, f'{name}(x)')}' -i x='{MATRIX}'"
    if signature.endswith("(x, y)"):
        return f"gradcli grad -e '{name}(x, y)' -i x=2.0 -i y=3.0 --get-all"
    return f"gradcli grad -e '{name}(x)' -i x={NARROW.get(name, '0.5')}"


def _prelude_page(net: ast.Net) -> OperatorDoc:
    """A net of the prelude: its doc is the comment above it."""
    name = net.name.id
    source = net.span.source
    line = source.locate(net.span.start)[0] - 1
    comment: list[str] = []
    while line >= 1 and source.line(line).startswith("#"):
        comment.insert(0, source.line(line).lstrip("# "))
        line -= 1
    parts = [i.name.id + (f"={i.default.span.text}" if i.default is not None else "") for i in net.inputs]
    signature = f"{name}({', '.join(parts)})"
    doc = " ".join(comment) or f"`{' '.join(net.span.text.split())}`"
    return OperatorDoc(
        name, signature, "composed", doc, "follows from its definition in prelude.net", "", _example(name, signature)
    )
