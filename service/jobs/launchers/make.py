"""The launchers that the settings allow, by the name that a job gives."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from service.jobs.launchers.base import Launcher
from service.jobs.launchers.elsewhere import environment_elsewhere
from service.jobs.launchers.local import LocalLauncher
from service.jobs.launchers.ray.client import RayJobs
from service.jobs.launchers.ray.launcher import RayLauncher
from service.jobs.launchers.ray.submission import Program
from service.settings import Settings


@asynccontextmanager
async def launchers(settings: Settings) -> AsyncIterator[Mapping[str, Launcher]]:
    """`local` always, `ray` where VERISQL_RAY_URL is set; connections are closed afterwards."""
    found: dict[str, Launcher] = {"local": LocalLauncher()}
    on_ray = _on_ray(settings)
    if on_ray:
        found["ray"] = on_ray
    try:
        yield found
    finally:
        if on_ray:
            await on_ray.close()


def _on_ray(settings: Settings) -> RayLauncher | None:
    if settings.ray_url is None:
        return None
    token = settings.ray_token.get_secret_value().strip() if settings.ray_token else None
    python = settings.ray_python
    program = Program(
        python,
        [python, "-P", "-m", "trainer.scale"],
        environment_elsewhere(os.environ),
        stop_s=settings.cancel_grace_s,
    )
    return RayLauncher(RayJobs(settings.ray_url, token=token), program)
