"""`jvp`, `jac` and `hess`."""

from typing import Annotated

from gradcli.cli.options import FORMATS, Data, Engine, Model, Order, Output, Selection, Voice, Weighting, request_of
from gradcli.cli.parameters import option
from gradcli.cli.performing import Comparing, perform
from gradcli.record import record
from gradcli.syntax.diagnostics import fail


@record
class Tangents:
    """Along what `jvp` differentiates."""

    tangent: Annotated[
        list[str] | None,
        option("--tangent", metavar="NAME=VALUE", panel="Derivative",
               help="The direction: a file, an expression, random:SEED, basis:0,0. Inputs not named stay. Repeatable."),
    ] = None  # fmt: skip


@record
class Vectors:
    """What `hess` multiplies with."""

    vec: Annotated[
        list[str] | None,
        option("--vec", metavar="NAME=VALUE", panel="Derivative",
               help="Its product with this vector instead of the matrix: a file, an expression, random:SEED, "
                    "basis:0,0. Inputs not named have zeros. Repeatable."),
    ] = None  # fmt: skip


@record
class Sparse:
    """Whether matrices are stored whole."""

    sparse: Annotated[
        bool,
        option("--sparse", panel="Derivative",
               help="Only the elements that can be other than zero; --format svg draws where they are."),
    ] = False  # fmt: skip

    def settle(self, comparing: Comparing, output: Output) -> None:
        """Raises ModelError USE005 where options disagree."""
        if self.sparse and comparing.check is not None:
            raise fail("USE005", "`--sparse` and `--check` do not go together", help="leave out one of them")
        if not self.sparse and output.format == "svg":
            raise fail("USE005", "`--format svg` draws a sparse matrix", help="add `--sparse`")


MATRIX_FORMATS = (*FORMATS, "svg")


def jvp_verb(
    model: Model,
    tangents: Tangents,
    selection: Selection,
    order: Order,
    comparing: Comparing,
    data: Data,
    engine: Engine,
    output: Output,
    voice: Voice,
) -> int:
    """
    Differentiates a model along a direction, in forward mode.

    It prints the tangent of each output: the Jacobian times the tangents of
    the inputs and params.

    Examples:
    gradcli jvp model.net --tangent x=t.npy
    gradcli jvp -e 'x**2 * y' -i x=4 -i y=5 --tangent x=1 --tangent y=0.5 --value
    """
    chosen = {"verb": "jvp", "value": comparing.value, **selection.request(), **order.request()}
    request = request_of(model, data, engine, along=tuple(tangents.tangent or ()), **chosen)
    return perform(model.file(), request, output, voice, comparing)


def jac_verb(
    model: Model,
    selection: Selection,
    order: Order,
    sparse: Sparse,
    comparing: Comparing,
    data: Data,
    engine: Engine,
    output: Output,
    voice: Voice,
) -> int:
    """
    Prints the Jacobian: every element of the outputs by every element of the inputs.

    Without an option that says by what, it is the first input. A block has the
    dims of the output, then those of the input. -v says which mode was taken.

    Examples:
    gradcli jac model.net --get-all
    gradcli jac -e '[x[0] * x[1], sum(x)]' -i x='[2, 3]' --json
    gradcli jac model.net --sparse --format svg > pattern.svg
    """
    sparse.settle(comparing, output)
    chosen = {
        "verb": "jac",
        "value": comparing.value,
        "sparse": sparse.sparse,
        **selection.request(),
        **order.request(),
    }
    request = request_of(model, data, engine, **chosen)
    return perform(model.file(), request, output, voice, comparing, MATRIX_FORMATS)


def hess_verb(
    model: Model,
    selection: Selection,
    weighting: Weighting,
    vectors: Vectors,
    sparse: Sparse,
    comparing: Comparing,
    data: Data,
    engine: Engine,
    output: Output,
    voice: Voice,
) -> int:
    """
    Prints the Hessian of a model, or its product with a vector.

    Without an option that says by what, it is the first input. Without --sens
    it is that of the sum of the outputs. Block x/y has the dims of x, then
    those of y.

    Examples:
    gradcli hess model.net --wrt x
    gradcli hess -e 'x**2 * y' -i x=4 -i y=5 --get-all
    gradcli hess model.net --wrt params --vec l1.w=v.npy
    """
    sparse.settle(comparing, output)
    chosen = {
        "verb": "hess",
        "value": comparing.value,
        "sparse": sparse.sparse,
        **selection.request(),
        **weighting.request(),
    }
    request = request_of(model, data, engine, along=tuple(vectors.vec or ()), **chosen)
    return perform(model.file(), request, output, voice, comparing, MATRIX_FORMATS)
