"""Plans on CuPy: inputs go to the device, results come back. The only module that imports CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any

from gradcli.backends import INSTALL
from gradcli.backends.functions import Functions, sent
from gradcli.backends.program import Program, compile_plan, execute, refused
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
    exist, ENV005 where CuPy or the GPU fails, ENV090 where its memory runs out; and as `numpy.run` where an operator
    refuses the data.
    """
    cp = namespace(device)
    key, xp = f"cupy:{device}", functions(cp, device)
    try:
        with cp.cuda.Device(device), _checked():
            program: Program | None = plan.compiled.get(key)
            if program is None:
                program = plan.compiled[key] = compile_plan(plan, xp, lambda node: _load(cp, node))
            results = execute(program, [sent(cp, array) for array in inputs], xp)
            return [cp.asnumpy(array) for array in results]
    except ModelError:
        raise
    except MemoryError as error:  # of what is moved there and back; steps have said where they are
        raise refused(error, None) from None
    except Exception as error:
        if not _of_cupy(error):
            raise
        raise fail("ENV005", "CuPy failed on this GPU", notes=[str(error).splitlines()[0]],
                   help="`--backend numpy` runs on the processor", exit_code=ENVIRONMENT) from None  # fmt: skip


def _of_cupy(error: Exception) -> bool:
    """Whether it tells of CUDA, its libraries or its compiler, not of this program."""
    package = type(error).__module__.partition(".")[0]
    return bool(str(error)) and (package in ("cupy", "cupy_backends") or "CuPy failed to load" in str(error))


@cache
def functions(cp: Any, device: int) -> Functions:
    """What operators are given; arrays that it holds lie on the device."""
    return Functions(cp)


def free_memory(device: int = 0) -> int:
    """Bytes that a plan can take on the device: those that are free, and those that CuPy keeps to give again."""
    cp = namespace(device)
    with cp.cuda.Device(device):
        return int(cp.cuda.runtime.memGetInfo()[0]) + int(cp.get_default_memory_pool().free_bytes())


def _checked() -> AbstractContextManager[Any]:
    """A singular matrix raises LinAlgError, as in NumPy; CuPy's default is a result without meaning."""
    from cupyx import errstate

    made: AbstractContextManager[Any] = errstate(linalg="raise")
    return made


def describe(device: int = 0) -> str:
    """`NVIDIA H200, CUDA 13.2, a driver for 13.0`"""
    runtime = namespace(device).cuda.runtime
    name = bytes(runtime.getDeviceProperties(device)["name"]).decode("utf-8", "replace")
    numbers = (runtime.runtimeGetVersion(), runtime.driverGetVersion())
    cuda, driver = (f"{number // 1000}.{number % 1000 // 10}" for number in numbers)
    return f"{name}, CUDA {cuda}, a driver for {driver}"


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
    return sent(cp, np.frombuffer(node.params["data"], dtype).reshape(node.params["shape"]))
