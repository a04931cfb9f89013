"""The Kubernetes launcher that the settings ask for."""

import importlib.util

from service.errors import LauncherRefused, SettingsError
from service.jobs.launchers.kubernetes.launcher import KubernetesLauncher
from service.jobs.launchers.kubernetes.pod import volumes_for
from service.settings import Settings


def kubernetes_launcher(settings: Settings) -> KubernetesLauncher | None:
    """None without an image; raises SettingsError if it could not work."""
    options = settings.kubernetes
    if options.image is None:
        return None
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
