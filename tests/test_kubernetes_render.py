"""What is rendered for a run: golden files, held to the published schemas."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from service.errors import LauncherRefused, UnsupportedValue
from service.jobs.launchers.kubernetes.labels import is_ours, run_hash
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.launchers.kubernetes.render import render
from service.jobs.resources import Resources, Vllm
from service.jobs.rundir import RunDir
from service.jobs.spec import JobSpec, RunRequest
from tests.kubernetes_double.rules import problems
from tests.kubernetes_golden import FOLDER, LEAST, MOST, cases, placed, text


@pytest.mark.parametrize("name", ["cpu", "gpu", "four_nodes"])
def test_a_rendered_run_is_as_in_its_golden_file(name: str) -> None:
    assert text(cases()[name]) == (FOLDER / f"{name}.yaml").read_text()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_golden_files_are_valid_by_the_strict_schemas(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    for document in documents:
        assert problems(document) == []


@pytest.mark.parametrize(
    ("home", "where"),
    [("", "(unset)"), ("c:/other", "c:/other"), ("c:/var/lib/verisql:ro", ":ro")],
)
def test_a_run_that_no_volume_holds_for_writing_is_refused(home: str, where: str) -> None:
    options = KubernetesOptions(image="i", volumes=home)
    with pytest.raises(LauncherRefused, match="verisql-home:/var/lib/verisql") as refused:
        render(placed(Resources()), options)
    assert where in refused.value.message


def test_a_node_that_serves_vllm_is_refused_with_what_to_do() -> None:
    vllm = Vllm(mode="server", server_url="http://rollouts:8000", nodes=1)
    asked = Resources(nodes=2, gpus_per_node=1, vllm=vllm)
    with pytest.raises(UnsupportedValue, match="Deployment of its own") as refused:
        render(placed(asked), MOST)
    assert refused.value.param == "resources.vllm.nodes"


def test_a_launch_is_recognised_whatever_the_settings_and_another_is_not() -> None:
    run = placed(Resources())
    for options in (LEAST, MOST):
        assert is_ours(render(run, options).job, run)
    others = (replace(run, attempt=1), replace(run, run_dir=Path("/x")), placed(Resources(cpus=3)))
    for other in others:
        assert not is_ours(render(run, LEAST).job, other)
        assert run_hash(other) != run_hash(run)


def test_every_node_starts_its_own_part_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.scale.__main__ import main

    asked = Resources(nodes=4, gpus_per_node=8)
    spec = {"base_model": "m", "train_data": "demo", "resources": asked}
    spec["hyperparameters"] = {"prompts_per_step": 32}
    request = RunRequest(
        job_id="job_01k2m3n4",
        spec=JobSpec.model_validate(spec),
        base_model_path=tmp_path,
        train_data_path=tmp_path,
        data_dirs=[],
    )
    RunDir(tmp_path).create(request)
    options = LEAST.model_copy(update={"volumes": f"home:{tmp_path.parent}"})
    run = replace(placed(asked), run_dir=tmp_path)
    container = render(run, options).job["spec"]["template"]["spec"]["containers"][0]
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args([word.replace("$(NODE_RANK)", "3") for word in container["args"]])
    assert given.command[:4] == ["python", "-P", "-m", "trainer.scale"]
    main([*given.command[4:], "--print"])
    printed = capsys.readouterr().out
    assert "--machine_rank=3" in printed
    assert f"--main_process_ip={run.launch_name}-0.{run.launch_name} " in printed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("volumes", value)
            for value in ("claim", "claim:path", "claim:/", "c:/a/../b", "c:/a:w")
        ),
        *(("node_selector", value) for value in ("gpu", "=x")),
        *(("tolerations", value) for value in (":NoSchedule", "spot:Never")),
        *(("namespace", value) for value in ("", "Team", "a.b", "-a")),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name.upper()):
        KubernetesOptions.model_validate({name: value})
