"""Plans on CuPy: inputs go to the device, results come back. The only module that imports CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from gradcli.backends import INSTALL
from gradcli.backends.program import Program, compile_plan, execute
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.ir.graph import Node
from gradcli.syntax.diagnostics import ENVIRONMENT, ModelError, fail

if TYPE_CHECKING:
    import numpy as np

    from gradcli.plan.flat import FlatPlan

    Array = np.ndarray[Any, Any]


def run(plan: FlatPlan, inputs: Sequence[Any], device: int = 0) -> list[Array]:
    """The results of a plan, as NumPy arrays that are the caller's own; `inputs` are NumPy or CuPy arrays.

    Raises ModelError (exit 3): ENV001 without CuPy, ENV002 without a GPU that works, ENV003 for a device that does not
    exist, ENV090 where its memory runs out; and as `numpy.run` where an operator refuses the data.
    """
    cp = namespace(device)
    with cp.cuda.Device(device):
        key = f"cupy:{device}"
        program: Program | None = plan.compiled.get(key)
        if program is None:
            program = plan.compiled[key] = compile_plan(plan, cp, lambda node: _load(cp, node))
        with _checked():
            results = execute(program, [cp.asarray(array) for array in inputs], cp)
        return [cp.asnumpy(array) for array in results]


def _checked() -> AbstractContextManager[Any]:
    """A singular matrix raises LinAlgError, as in NumPy; CuPy's default is a result without meaning."""
    from cupyx import errstate

    made: AbstractContextManager[Any] = errstate(linalg="raise")
    return made


def namespace(device: int = 0) -> Any:
    """The module `cupy`, once it is sure that the device is there. Raises ModelError ENV001, ENV002 or ENV003."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            raise fail("ENV001", "the backend cupy needs CuPy, which is not installed", help=f"`{INSTALL}`",
                       exit_code=ENVIRONMENT) from None  # fmt: skip
        raise _broken(error) from None
    except ImportError as error:
        raise _broken(error) from None
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise fail("ENV002", "the backend cupy needs a GPU, and none answers", notes=[str(error)],
                   help="`--backend numpy` runs on the processor", exit_code=ENVIRONMENT) from None  # fmt: skip
    if not 0 <= device < count:
        raise fail("ENV003", f"there is no GPU {device}; {count} can be used, counted from 0",
                   help="`--device 0`" if count else None, exit_code=ENVIRONMENT)  # fmt: skip
    return cupy


def _broken(error: ImportError) -> ModelError:
    return fail(
        "ENV001",
        "CuPy is installed, but cannot be imported",
        notes=[str(error)],
        help=f"install the CuPy that matches your CUDA, for CUDA 12: `{INSTALL}`",
        exit_code=ENVIRONMENT,
    )


def _load(cp: Any, node: Node) -> Any:
    import numpy as np

    dtype = NUMPY_NAMES[node.outs[0].dtype]
    return cp.asarray(np.frombuffer(node.params["data"], dtype).reshape(node.params["shape"]))
