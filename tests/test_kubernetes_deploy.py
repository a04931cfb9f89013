"""deploy/kubernetes: valid, with least rights, true to the settings and the app."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

from service.app import create_app
from service.jobs.launchers.kubernetes.launcher import KubernetesLauncher
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.launchers.kubernetes.pod import volumes_for
from service.jobs.resources import Resources
from service.settings import PREFIX, Settings, load_settings
from tests.fixtures_jobs import placement
from tests.kubernetes_double.rules import VERSION
from tests.kubernetes_double.server import ApiServer, Right, serving

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"


def documents() -> Iterator[dict[str, Any]]:
    for path in sorted(FOLDER.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in documents() if document["kind"] == kind]


def granted() -> set[Right]:
    """The rights of the Role."""
    (role,) = of_kind("Role")
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with serving() as server:
        server.rights = granted()
        yield server


async def _everything(launcher: KubernetesLauncher, api: ApiServer, folder: Path) -> None:
    """One run of two nodes through all that a launcher does; another is found without a note."""
    run = replace(placement(folder / "run"), resources=Resources(nodes=2))
    await launcher.submit(run)
    await launcher.submit(run)
    (run.run_dir / "kubernetes-0.json").unlink()
    assert (await launcher.poll(run, None)).state == "pending"
    api.cluster.start(str(api.cluster.pods()[0]["metadata"]["name"]))
    await launcher.logs(run, None, max_bytes=1000)
    await launcher.cancel(run, None, force=False)
    await launcher.cancel(run, None, force=True)
    assert api.cluster.things["jobs"] == {}


def test_the_role_has_the_verbs_that_the_launcher_uses_and_no_others(
    api: ApiServer, tmp_path: Path
) -> None:
    options = KubernetesOptions(
        image="i",
        config=api.kubeconfig(tmp_path / "kubeconfig"),
        volumes=f"home:{tmp_path}",
        poll_s=0,
    )
    asyncio.run(_everything(KubernetesLauncher(options), api, tmp_path))
    assert set(api.asked) == granted()


@pytest.mark.parametrize(
    "document", list(documents()), ids=lambda d: f"{d['kind']}-{d['metadata']['name']}"
)
def test_a_manifest_is_valid_by_the_strict_schemas(document: dict[str, Any]) -> None:
    validate(document, VERSION, strict=True)
    assert document["metadata"]["namespace"] == "verisql"


def test_the_role_is_bound_to_the_account_of_the_service() -> None:
    (binding,) = of_kind("RoleBinding")
    (deployment,) = of_kind("Deployment")
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    assert [subject["name"] for subject in binding["subjects"]] == [account]
    assert account in [found["metadata"]["name"] for found in of_kind("ServiceAccount")]


def test_variables_of_the_deployment_are_settings_that_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = _deployed(monkeypatch)
    (deployment,) = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    claims = {
        v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "emptyDir" not in v
    }
    mounted = volumes_for(settings.runs_path / "job", settings.kubernetes)
    assert {volume.claim for volume in mounted} == claims
    assert claims == {claim["metadata"]["name"] for claim in of_kind("PersistentVolumeClaim")}
    assert settings.kubernetes.user_id == pod["securityContext"]["runAsUser"]
    # Else a Service named verisql sets VERISQL_PORT, and the service refuses to start.
    assert pod["enableServiceLinks"] is False


def _deployed(monkeypatch: pytest.MonkeyPatch) -> Settings:
    (deployment,) = of_kind("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    given = {"api-keys": "k", "store-url": "postgresql+asyncpg://verisql@db/verisql"}
    for variable in container["env"]:
        if variable["name"].startswith(PREFIX):
            secret = variable.get("valueFrom", {}).get("secretKeyRef", {})
            value = variable.get("value") or given[secret["key"]]
            monkeypatch.setenv(variable["name"], value)
    return load_settings()


def test_probes_ask_paths_that_the_app_has(tmp_path: Path) -> None:
    (deployment,) = of_kind("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    probes = [container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")]
    paths = create_app(load_settings(home=tmp_path, engine="off")).openapi()["paths"]
    assert {probe["httpGet"]["path"] for probe in probes} <= set(paths)


def test_the_policy_selects_the_trainers_pods() -> None:
    from tests.kubernetes_golden import cases

    (policy,) = of_kind("NetworkPolicy")
    wanted = policy["spec"]["podSelector"]["matchLabels"]
    for manifests in cases().values():
        labels = manifests.job["spec"]["template"]["metadata"]["labels"]
        assert wanted.items() <= labels.items()
