"""Choose the engine that the settings ask for."""

import os
from collections.abc import Callable
from pathlib import Path

from service.engine.base import Engine
from service.engine.remote import OffEngine, RemoteEngine
from service.engine.server import LocalEngine
from service.engine.vllm import VllmOptions, installed_build
from service.errors import SettingsError
from service.models.registry import ServedModel
from service.settings import Settings

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def make_engine(
    settings: Settings, model: ServedModel | None, say: Callable[[str], None]
) -> Engine:
    """The engine of VERISQL_ENGINE, not started; `say` gets a line at each change of its state.

    `model` is what a local engine serves, already on this disk; the others need none. Raises
    SettingsError when vLLM is not installed.
    """
    if settings.engine == "off":
        return OffEngine()
    if settings.engine_url:
        return RemoteEngine(
            settings.engine_url,
            api_key=settings.engine_api_key,
            preferred=settings.model,
            generate_timeout_s=settings.generate_timeout_s,
            say=say,
        )
    if model is None:
        raise SettingsError("VERISQL_ENGINE=local needs a model", param="model")
    return LocalEngine(
        model,
        _options(settings),
        log_path=settings.home_path / "logs" / "engine.log",
        start_timeout_s=settings.engine_start_timeout_s,
        generate_timeout_s=settings.generate_timeout_s,
        say=say,
    )


def _options(settings: Settings) -> VllmOptions:
    return VllmOptions(
        build=installed_build(),
        max_model_len=settings.max_model_len,
        kv_cache_bytes=int(settings.engine_kv_cache_gb * 2**30),
        cache_dir=settings.home_path / "cache" / "vllm",
        cpus=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else (),
        cpu_quota=_cpu_quota(_CGROUP_QUOTA),
    )


def _cpu_quota(path: Path) -> float | None:
    """Cores' worth of CPU time of this container (cgroup v2), None without a bound."""
    try:
        quota, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)
