"""The launchers that the settings allow, by the name that a job gives."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from service.jobs.launchers.base import Launcher
from service.jobs.launchers.elsewhere import environment_elsewhere
from service.jobs.launchers.kubernetes.make import kubernetes_launcher
from service.jobs.launchers.local import LocalLauncher
from service.jobs.launchers.ray.client import RayJobs
from service.jobs.launchers.ray.launcher import RayLauncher
from service.jobs.launchers.ray.submission import Program
from service.settings import Settings


@asynccontextmanager
async def launchers(settings: Settings) -> AsyncIterator[Mapping[str, Launcher]]:
    """`local` always, the others where a setting names the place; closed afterwards.

    Raises SettingsError for a place that could not work.
    """
    found: dict[str, Launcher] = {"local": LocalLauncher()}
    if on_kubernetes := kubernetes_launcher(settings):
        found["kubernetes"] = on_kubernetes
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
