"""Inference runtimes behind one seam: a batch of float pictures in, raw outputs out.

Precision, provider and threads are always set explicitly, never left to the runtime's own wish:
OpenVINO runs bf16 by itself where the CPU has it, and CUDA runs TF32, and both move scores.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from models.detections import FloatArray
from models.errors import ModelConfigError, ModelFileError
from models.manifest import Precision, RuntimeName

Provider = Literal["auto", "cpu", "cuda", "tensorrt"]
DEFAULT_BATCH = 1
"""Pictures that go through a free batch axis at once. On a CPU more are no cheaper: a picture cost 31.5 ms
of CPU alone and 32.6 in fours (INT8, OpenVINO), 78.6 and 87.1 (f32), same run of ``models tune``."""

ORT_PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_ORT_ERRORS_ONLY = 3
_ORT_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_INPUT_DTYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How to run a model.

    ``threads`` is for one operator (``intra_op`` in ONNX Runtime, ``INFERENCE_NUM_THREADS`` in
    OpenVINO); operators run one after another and one request at a time. ``batch``: most pictures that
    go through a free batch axis at once.
    """

    precision: Precision = "f32"
    threads: int = 1
    provider: Provider = "auto"
    batch: int = DEFAULT_BATCH


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, shape (None for a side that is free) and element type of an input or output."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Runtime(Protocol):
    """A loaded graph."""

    @property
    def description(self) -> str:
        """Runtime, provider and precision in words, for logs and reports."""
        ...

    @property
    def input(self) -> TensorInfo:
        """The picture input."""
        ...

    def infer(self, batch: FloatArray) -> list[FloatArray]:
        """Run a batch, float32 (n, 3, height, width); outputs are float32 with the batch axis first."""
        ...

    def close(self) -> None:
        """Release the graph."""
        ...


def open_runtime(
    name: RuntimeName, model: bytes, outputs: tuple[str, ...], options: RuntimeOptions, source: str
) -> Runtime:
    """Load ONNX bytes into a runtime.

    Args:
        name: ``onnxruntime`` or ``openvino``.
        model: the ONNX file's bytes, weights inside.
        outputs: names of the outputs wanted, in order.
        options: precision, threads, provider.
        source: what to call the model in errors.

    Raises:
        ModelConfigError: the runtime, provider or precision is not to be had on this machine.
        ModelFileError: the bytes are no model that the runtime takes.

    """
    if name == "onnxruntime":
        return OnnxRuntime(model, outputs, options, source)
    return OpenVino(model, outputs, options, source)


def installed(name: RuntimeName) -> bool:
    """Tell whether the runtime's package can be imported."""
    try:
        __import__(name)
    except ImportError:
        return False
    return True


class OnnxRuntime:
    """ONNX Runtime on CPU, CUDA or TensorRT."""

    def __init__(self, model: bytes, outputs: tuple[str, ...], options: RuntimeOptions, source: str) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - loaded only where it is the runtime chosen

        provider = ort_provider(options.provider, ort.get_available_providers())
        if options.precision == "bf16":
            msg = f"{source}: ONNX Runtime has no bf16; use f32, or runtime openvino on a CPU with bf16"
            raise ModelConfigError(msg)
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = _ORT_ERRORS_ONLY
        try:
            self._session: Any = ort.InferenceSession(
                model,
                settings,
                providers=[(ORT_PROVIDERS[provider], ort_provider_options(provider, options))],
            )
        except Exception as error:  # noqa: BLE001 - its exceptions share no base below Exception
            msg = f"{source}: ONNX Runtime cannot load it: {first_line(error)}"
            raise ModelFileError(msg) from None
        check_outputs(outputs, [item.name for item in self._session.get_outputs()], source)
        self._outputs = list(outputs)
        self.input = ort_tensor(self._session.get_inputs()[0])
        self._dtype = input_dtype(self.input, source)
        self.description = f"onnxruntime {ort.__version__} {provider} {options.precision}"
        active = self._session.get_providers()
        if ORT_PROVIDERS[provider] not in active:  # ONNX Runtime falls back without an error
            msg = f"{source}: provider {provider} could not start (its libraries do not load); got {active}"
            raise ModelConfigError(msg)

    def infer(self, batch: FloatArray) -> list[FloatArray]:
        """See :class:`Runtime`."""
        results = self._session.run(self._outputs, {self.input.name: batch.astype(self._dtype, copy=False)})
        return [np.asarray(result, np.float32) for result in results]

    def close(self) -> None:
        """See :class:`Runtime`."""
        self._session = None


OWN_AFTER = 30  # pictures of one size, then it is worth a second of CPU time for the rest of a process's life
OWN_MOST = 4  # sizes, of some 26 MiB each


class OpenVino:
    """OpenVINO on the CPU.

    A graph whose sides are free is compiled once more for each of the few sizes that come again and
    again: that gives the very same outputs, for a quarter less where sizes take turns.
    """

    def __init__(self, model: bytes, outputs: tuple[str, ...], options: RuntimeOptions, source: str) -> None:
        import openvino as ov  # noqa: PLC0415 - loaded only where it is the runtime chosen

        if options.provider not in ("auto", "cpu"):
            msg = f"{source}: provider {options.provider} needs runtime onnxruntime; openvino uses the CPU"
            raise ModelConfigError(msg)
        capabilities = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._settings = {
            "INFERENCE_PRECISION_HINT": openvino_hint(options.precision, capabilities, source),
            "INFERENCE_NUM_THREADS": options.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._graph: Any = openvino_core().read_model(model=model)
            compiled = openvino_core().compile_model(self._graph, "CPU", self._settings)
        except RuntimeError as error:
            msg = f"{source}: OpenVINO cannot load it: {first_line(error)}"
            raise ModelFileError(msg) from None
        check_outputs(outputs, [port.any_name for port in compiled.outputs], source)
        port = compiled.input(0)
        shape = tuple(None if side.is_dynamic else int(side.get_length()) for side in port.partial_shape)
        dtype = {"f32": "tensor(float)", "f16": "tensor(float16)"}.get(port.element_type.get_type_name(), "")
        self.input = TensorInfo(port.any_name, shape, dtype or port.element_type.get_type_name())
        self._dtype = input_dtype(self.input, source)
        self._outputs = outputs
        self._any_size: Any = compiled.create_infer_request()
        self._own: dict[tuple[int, ...], Any] = {}  # requests of graphs compiled for one size
        self._asked: Counter[tuple[int, ...]] = Counter()
        self.description = f"openvino {ov.__version__.partition('-')[0]} cpu {options.precision}"

    def infer(self, batch: FloatArray) -> list[FloatArray]:
        """See :class:`Runtime`."""
        request = self._request_for(batch.shape)
        request.infer([batch.astype(self._dtype, copy=False)], share_inputs=True)
        # the request owns its output memory and writes over it next time
        return [np.array(request.get_tensor(name).data, np.float32) for name in self._outputs]

    def _request_for(self, shape: tuple[int, ...]) -> Any:
        """Return what runs a size best, and compile for one that comes often."""
        if shape in self._own or None not in self.input.shape or len(self._own) >= OWN_MOST:
            return self._own.get(shape, self._any_size)
        self._asked[shape] += 1
        if self._asked[shape] <= OWN_AFTER:
            return self._any_size
        graph = self._graph.clone()
        graph.reshape(list(shape))
        compiled = openvino_core().compile_model(graph, "CPU", self._settings)
        self._own[shape] = compiled.create_infer_request()
        return self._own[shape]

    def close(self) -> None:
        """See :class:`Runtime`."""
        self._any_size = self._graph = None
        self._own = {}


def ort_provider(wanted: Provider, available: list[str]) -> str:
    """Choose the provider: ``auto`` is CUDA where its wheel is installed, the CPU otherwise.

    Raises:
        ModelConfigError: the one asked for is not in the installed wheel.

    """
    if wanted == "auto":
        return "cuda" if ORT_PROVIDERS["cuda"] in available else "cpu"
    if ORT_PROVIDERS[wanted] not in available:
        have = [name for name, provider in ORT_PROVIDERS.items() if provider in available]
        msg = (
            f"provider {wanted} is not in the installed onnxruntime (it has {', '.join(have)}): "
            "pip install 'towerwatch[edge-cuda]' on a machine with an NVIDIA GPU, in place of [edge]"
        )
        raise ModelConfigError(msg)
    return wanted


def ort_provider_options(provider: str, options: RuntimeOptions) -> dict[str, str]:
    """Return what makes the precision of a provider explicit."""
    if provider == "cuda":
        return {"use_tf32": "0"}
    if provider == "tensorrt":
        return {
            "trt_fp16_enable": str(int(options.precision == "f16")),
            "trt_int8_enable": str(int(options.precision == "int8")),
        }
    return {}


@functools.cache
def openvino_core() -> Any:
    """Return the one ``ov.Core`` of this process; it lives as long as the process.

    The CPU plugin of a Core gives the thread that first compiles with it a signal stack of its own and
    unmaps that when the Core goes. Of two Cores that go in the order they came, the second puts the
    first one's unmapped stack back, and the next signal, SIGTERM as well, ends the process with
    SIGSEGV, for Python takes its signals on that stack (seen with 2026.4.1).
    """
    import openvino as ov  # noqa: PLC0415 - loaded only where it is the runtime chosen

    return ov.Core()


def openvino_hint(precision: Precision, capabilities: list[str], source: str) -> str:
    """Return the inference precision to set; int8 files run their float parts in f32.

    Raises:
        ModelConfigError: the CPU lacks it.

    """
    needs = {"bf16": "BF16", "f16": "FP16"}.get(precision)
    if needs is None:
        return "f32"
    if needs not in capabilities:
        msg = f"{source}: this CPU has no {precision} (OpenVINO lists {', '.join(capabilities)}); use f32"
        raise ModelConfigError(msg)
    return precision


def check_outputs(wanted: tuple[str, ...], have: list[str], source: str) -> None:
    """Check that a graph has the outputs that a manifest names.

    Raises:
        ModelFileError: one is missing.

    """
    for name in wanted:
        if name not in have:
            msg = f"{source}: has no output {name!r}; it has {', '.join(have)}"
            raise ModelFileError(msg)


def ort_tensor(argument: Any) -> TensorInfo:
    """Read name, shape and type of a session's input or output."""
    shape = tuple(side if isinstance(side, int) else None for side in argument.shape)
    return TensorInfo(argument.name, shape, argument.type)


def input_dtype(tensor: TensorInfo, source: str) -> type[np.floating[Any]]:
    """Return the NumPy type of a float input.

    Raises:
        ModelFileError: it is no float input.

    """
    if tensor.dtype not in _INPUT_DTYPES:
        msg = f"{source}: input {tensor.name} is {tensor.dtype}; float32 or float16 is needed"
        raise ModelFileError(msg)
    return _INPUT_DTYPES[tensor.dtype]


def first_line(error: BaseException) -> str:
    """Return the telling part of a runtime's many-line message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    text = (telling or lines or [type(error).__name__])[0]
    return _ORT_PREFIX.sub("", text)[:300]
