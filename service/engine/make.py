"""Choose the engine that the settings ask for."""

import os
from collections.abc import Callable
from pathlib import Path

from service.engine.balanced import BalancedEngine
from service.engine.base import AdapterEngine
from service.engine.client import Patience
from service.engine.off import OffEngine
from service.engine.remote import RemoteEngine
from service.engine.server import LocalEngine
from service.engine.tokens import CountTokens, TokenCounter, upper_bound
from service.engine.vigil import Vigilance
from service.engine.vllm import AdapterRoom, VllmOptions, installed_build
from service.errors import ModelUnavailable, SettingsError
from service.models.adapters import any_registered
from service.models.registry import ServedModel, tokenizer_path
from service.processor import multiplies_bf16
from service.settings import Settings

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def make_engine(
    settings: Settings, model: ServedModel | None, say: Callable[[str], None]
) -> AdapterEngine:
    """The engine of VERISQL_ENGINE, not started; `say` gets a line at each change of its state.

    `model` is what a local engine serves, already on this disk; the others need none. Raises
    SettingsError when vLLM is not installed.
    """
    if settings.engine == "off":
        return OffEngine()
    if settings.engine == "url":
        return _remote(settings, say)
    if model is None:
        raise SettingsError("VERISQL_ENGINE=local needs a model", param="model")
    return LocalEngine(
        model,
        _options(settings),
        log_path=settings.home_path / "logs" / "engine.log",
        start_timeout_s=settings.engine_start_timeout_s,
        waits=_waits(settings),
        say=say,
        vigilance=_vigilance(settings),
    )


def _remote(settings: Settings, say: Callable[[str], None]) -> AdapterEngine:
    count = _count(settings)
    servers = [
        RemoteEngine(
            url,
            api_key=settings.engine_api_key,
            preferred=settings.model,
            waits=_waits(settings),
            say=say,
            count=count,
            vigilance=_vigilance(settings),
        )
        for url in settings.engine_urls
    ]
    return servers[0] if len(servers) == 1 else BalancedEngine(servers)


def _waits(settings: Settings) -> Patience:
    whole_s = settings.generate_timeout_s
    return Patience(
        whole_s,
        min(whole_s, settings.engine_first_token_timeout_s),
        min(whole_s, settings.engine_stall_timeout_s),
    )


def _vigilance(settings: Settings) -> Vigilance:
    stall_s = settings.engine_stall_timeout_s
    return Vigilance(silence_s=stall_s, probe_s=stall_s, idle_s=2 * stall_s)


def _count(settings: Settings) -> CountTokens:
    """The tokenizer of VERISQL_TOKENIZER; raises SettingsError."""
    if not settings.tokenizer:
        return upper_bound
    try:
        return TokenCounter(tokenizer_path(settings.tokenizer, settings.models_path))
    except ModelUnavailable as error:
        raise SettingsError(
            f"VERISQL_TOKENIZER={settings.tokenizer}: {error.message}", param="tokenizer"
        ) from error


def _options(settings: Settings) -> VllmOptions:
    return VllmOptions(
        build=installed_build(),
        max_model_len=settings.max_model_len,
        kv_cache_bytes=int(settings.engine_kv_cache_gb * 2**30),
        cache_dir=settings.home_path / "cache" / "vllm",
        cpus=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else (),
        cpu_quota=_cpu_quota(_CGROUP_QUOTA),
        bf16=multiplies_bf16(),
        room=_room(settings),
    )


def _room(settings: Settings) -> AdapterRoom | None:
    wanted = settings.adapters
    if wanted is None:
        wanted = any_registered(settings.registered_path)
    if not wanted:
        return None
    return AdapterRoom(settings.max_adapters, settings.max_lora_rank)


def _cpu_quota(path: Path) -> float | None:
    """Cores' worth of CPU time of this container (cgroup v2), None without a bound."""
    try:
        quota, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)
