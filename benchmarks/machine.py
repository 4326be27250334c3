"""What a figure was measured on; stands in every benchmark's JSON under ``machine``.

Fields: ``cpu`` (model name), ``cores`` (usable by this process), ``cpu_features`` (those that
decide which kernels run), ``memory_gib``, ``load_1m`` (of others, at the start), ``gpus`` (names, empty
without one), ``system``, ``python``, ``packages`` (name to version).
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

FEATURES = frozenset(
    {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd"}
)
PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "av",
    "towerwatch",
)
_NVIDIA_SMI_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds and resident MiB of a process."""

    cpu_s: float
    rss_mib: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """Read ``/proc``."""
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return cls(cpu_s, int(found[1]) / 1024 if found else 0.0)


def machine_facts() -> dict[str, Any]:
    """Describe this machine; see the module for the fields."""
    cpu = _cpu_info()
    features = set(cpu.get("flags", cpu.get("Features", "")).split())
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "cpu_features": sorted(features & FEATURES),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_1m": round(os.getloadavg()[0], 2),
        "gpus": gpu_names(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def usable_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpu_names() -> list[str]:
    """Name the NVIDIA GPUs that the driver shows; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_NVIDIA_SMI_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _cpu_info(path: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Read the first core's entry; empty where the system has none."""
    try:
        first = path.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
