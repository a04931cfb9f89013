"""What test_kubernetes_render.py compares; `python -m tests.kubernetes_golden` writes it anew."""

from pathlib import Path

import yaml

from service.jobs.launchers.base import Placement
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.launchers.kubernetes.render import Manifests, render
from service.jobs.resources import Resources

FOLDER = Path(__file__).with_name("golden") / "kubernetes"
HOME = Path("/var/lib/verisql")
LEAST = KubernetesOptions(image="registry.example/verisql:1", volumes=f"verisql-home:{HOME}")
MOST = KubernetesOptions(
    image="registry.example/verisql:1",
    namespace="training",
    volumes=f"verisql-home:{HOME},datasets:/data:ro,weights:/models:ro",
    node_selector="gpu=h100,zone=a",
    tolerations="nvidia.com/gpu:NoSchedule,team=ml:NoExecute,spot",
    user_id=2000,
    tmp_gb=200,
    pull_secret="registry",
    env_secret="tracking",
    service_account="verisql-trainer",
    priority_class="training",
    keep_s=3600,
)


def placed(resources: Resources, attempt: int = 0) -> Placement:
    """A run under the home of the golden files."""
    return Placement("job_01k2m3n4", HOME / "runs" / "job_01k2m3n4", resources, attempt)


def cases() -> dict[str, Manifests]:
    """The manifests by the name of their file."""
    gpus = Resources(gpus_per_node=8, cpus=96, memory_gb=1024)
    nodes = Resources(nodes=4, gpus_per_node=8, cpus=96, memory_gb=1024.5)
    return {
        "cpu": render(placed(Resources()), LEAST),
        "gpu": render(placed(gpus), MOST, deadline_s=7200.5, grace_s=30),
        "four_nodes": render(placed(nodes, attempt=2), MOST, grace_s=600),
    }


def text(manifests: Manifests) -> str:
    """As YAML documents."""
    documents = [manifests.job, *([manifests.service] if manifests.service else [])]

    return "---\n".join(_dump(document) for document in documents)


def _dump(document: object) -> str:
    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    return str(yaml.dump(document, Dumper=Plain, sort_keys=False, width=100))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, manifests in cases().items():
        (FOLDER / f"{name}.yaml").write_text(text(manifests))


if __name__ == "__main__":
    main()
