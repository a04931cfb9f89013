"""The launchers that this service's settings turn on, by the name that a job gives."""

import importlib.util

from service.errors import LauncherRefused, SettingsError
from service.jobs.launchers.base import Launcher
from service.jobs.launchers.kubernetes.launcher import KubernetesLauncher
from service.jobs.launchers.kubernetes.pod import volumes_for
from service.jobs.launchers.local import LocalLauncher
from service.settings import Settings


def make_launchers(settings: Settings) -> dict[str, Launcher]:
    """`local` always, `kubernetes` with an image; raises SettingsError if one could not work."""
    launchers: dict[str, Launcher] = {"local": LocalLauncher()}
    if settings.kubernetes.image:
        launchers["kubernetes"] = _kubernetes(settings)
    return launchers


def _kubernetes(settings: Settings) -> KubernetesLauncher:
    options = settings.kubernetes
    if importlib.util.find_spec("kubernetes") is None:
        raise SettingsError(
            f"VERISQL_KUBERNETES_IMAGE={options.image} needs the Kubernetes client: "
            "pip install '.[kubernetes]'",
            param="kubernetes",
        )
    try:
        volumes_for(settings.runs_path / "job", options)
    except LauncherRefused as error:
        raise SettingsError(error.message, param="kubernetes") from error
    return KubernetesLauncher(options, grace_s=settings.cancel_grace_s)
