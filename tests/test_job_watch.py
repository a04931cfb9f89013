"""`verisql jobs watch | logs | events` against a real service, in a terminal and without one."""

import io
import json
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from service.commands.job_view import LivePicture
from service.jobs.job import Job
from tests.ctrl_c import VERISQL
from tests.fixtures_live import LONG_S, TWO_GPUS, JobService, job_service

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobService]:
    with job_service(tmp_path_factory.mktemp("watch")) as started:
        yield started


@pytest.fixture
def job(service: JobService) -> Job:
    job = service.move(service.create(resources=TWO_GPUS), "starting", "running")
    service.change(job, active_s=1800.0)
    run = service.run(job)
    run.append_event("info", "state", "queued -> starting")
    run.append_metrics({"step": 1, "stage": "grpo", "reward": 0.25, "useful_groups": 0.5})
    run.log_path.write_text("".join(f"line {n}\n" for n in range(5)))
    return job


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    while started:
        with started.pop() as process:
            process.kill()


started: list["subprocess.Popen[str]"] = []


class Command:
    """A running `verisql`, its output read as it comes."""

    def __init__(self, *arguments: str, stdout: int = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [*VERISQL, "jobs", *arguments],
            cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"COLUMNS": "100", "TERM": "xterm", "TZ": "UTC"},
        )  # fmt: skip
        started.append(self.process)
        self.said = ""
        self.errors = ""
        self._readers = [threading.Thread(target=self._read_errors, daemon=True)]
        if stdout == subprocess.PIPE:
            self._readers.append(threading.Thread(target=self._read, daemon=True))
        for reader in self._readers:
            reader.start()

    def until_said(self, text: str) -> None:
        until(lambda: text in self.said, lambda: f"{text!r} in {self.said!r} {self.errors!r}")

    def end(self) -> int:
        code = self.process.wait(LONG_S)
        for reader in self._readers:
            reader.join(LONG_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self.said += line

    def _read_errors(self) -> None:
        assert self.process.stderr
        with self.process.stderr as lines:
            for line in lines:
                self.errors += line


def until(seen: Callable[[], bool], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + LONG_S
    while not seen():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


def piece(master: int) -> str:
    """The next piece on the terminal; "" once nobody holds its other end."""
    try:
        return os.read(master, 65_536).decode(errors="replace")
    except OSError:  # Linux says EIO then
        return ""


def test_without_a_terminal_each_step_and_event_is_a_line(service: JobService, job: Job) -> None:
    command = Command("watch", job.id, "--url", service.url)
    command.until_said("grpo 1  reward 0.25  useful_groups 0.5")
    run = service.run(job)
    run.append_metrics({"step": 2, "stage": "grpo", "reward": 0.5})
    command.until_said("grpo 2  reward 0.5")
    service.move(job, "succeeded")
    run.append_event("info", "state", "running -> succeeded")
    assert command.end() == 0, command.errors
    lines = command.said.splitlines()
    assert lines[0] == f"{job.id} is running"
    assert any(line.endswith(" state: queued -> starting") for line in lines)
    assert lines[-1] == f"{job.id} is succeeded"
    assert lines[-2].endswith("state: running -> succeeded")


def test_a_terminal_shows_curves_and_the_end_and_is_put_right(
    service: JobService, job: Job
) -> None:
    for step in range(2, 30):
        service.run(job).append_metrics({"step": step, "stage": "grpo", "reward": step / 30})
    master, slave = pty.openpty()
    command = Command("watch", job.id, "--url", service.url, stdout=slave)
    os.close(slave)
    seen = ""

    def drawn(text: str) -> bool:
        nonlocal seen
        seen += piece(master)
        return text in seen

    until(lambda: drawn("step 29"), lambda: seen)
    service.move(job, "failed")
    until(lambda: drawn(f"{job.id}: failed"), lambda: seen)
    while last := piece(master):  # what it writes as it ends may come in several pieces
        seen += last
    assert command.end() == 1
    os.close(master)
    for told in (
        "reward",
        "1.00 gpu hours",
        "0.9667",
        "useful groups",
        "state: queued -> starting",
        "⡠",
    ):
        assert told in seen
    assert "\x1b[?25h" in seen  # the cursor is back


def test_ctrl_c_ends_the_watching_and_not_the_job(service: JobService, job: Job) -> None:
    command = Command("watch", job.id, "--url", service.url)
    command.until_said("grpo 1")
    command.process.send_signal(signal.SIGINT)
    assert command.end() == 130
    assert f"the job goes on (verisql jobs cancel {job.id} ends it)" in command.errors
    assert "Traceback" not in command.errors
    assert service.call(service.counted(job.id)).status == "running"


def test_logs_and_events_are_shown_whole_or_followed(service: JobService, job: Job) -> None:
    url = ("--url", service.url)
    short = Command("logs", job.id, "--tail", "2", *url)
    assert (short.end(), short.said) == (0, "line 3\nline 4\n")
    following = Command("logs", job.id, "--follow", "--tail", "1", *url)
    told = Command("events", job.id, "--follow", *url)
    following.until_said("line 4\n")
    with service.run(job).log_path.open("a") as file:
        file.write("\x1b[31mred [bold]\n" + "long " * 60 + "\nlast")
    following.until_said("long \n")
    service.move(job, "succeeded")
    assert following.end() == told.end() == 0, following.errors
    assert following.said.splitlines() == [
        "line 4", "\\u001b[31mred [bold]", "long " * 60, "last",
    ]  # fmt: skip
    assert told.said.endswith("state: queued -> starting\n")
    whole = Command("events", job.id, *url)
    assert (whole.end(), whole.said) == (0, told.said)


def test_a_job_that_is_not_there_is_one_line(service: JobService) -> None:
    for arguments in (("watch",), ("logs", "--follow"), ("events", "--follow")):
        command = Command(arguments[0], "job_none", *arguments[1:], "--url", service.url)
        assert command.end() == 1
        assert "error (unknown_job)" in command.errors
        assert "Traceback" not in command.errors


class Breaking:
    """A service whose streams break after each event; it keeps what Last-Event-ID was given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: Any) -> None:
        what = request.path.rsplit("/", 1)[1]
        last = request.headers["last-event-id"]
        self.asked.append((what, last))
        done = int(last or 0)
        body = json.dumps({"id": "job_1", "status": "succeeded" if done == 2 else "running"})
        if what in ("metrics", "events"):
            row = json.dumps({"step": done + 1, "type": "t", "message": f"number {done + 1}"})
            name = what.removesuffix("s")
            frame = f"id: {done + 1}\nevent: {name}\ndata: {row}\n\nid: 9\nevent: {name}\ndata: {{"
            body = frame if done < 2 else f"event: end\ndata: {body}\n\n"
        # Of 9 an end was never sent: it must not count as received.
        request.send_response(200)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body.encode())


def test_a_stream_that_breaks_goes_on_after_the_last_whole_event() -> None:
    breaking = Breaking()
    command = Command("watch", "job_1", "--url", breaking.url)
    assert command.end() == 0, command.errors
    breaking.server.shutdown()
    breaking.server.server_close()
    for what in ("metrics", "events"):
        assert [last for kind, last in breaking.asked if kind == what] == [None, "1", "2"]
    for number in (1, 2):
        assert command.said.count(f"t: number {number}\n") == 1
        assert command.said.count(f"step {number}\n") == 1
    assert "connection lost, trying again" in command.said


def test_the_picture_forgets_void_steps_and_takes_a_new_curve_for_a_new_stage() -> None:
    view = LivePicture()
    cost = {"gpu_hours": 1.5, "cpu_hours": 3}
    view.job({"id": "job_1", "status": "running", "progress": 0.5, "eta_s": 600, "cost": cost})
    for reward in (0.25, 0.75):
        view.metric({"step": 7, "stage": "offline", "reward": reward, "loss": float("nan")})
    assert "0.75" in shown(view)
    view.metric({"step": 1, "stage": "grpo", "reward": 0.125})
    text = shown(view)
    for told in ("50%", "10 min left", "1.50 gpu hours, 3.00 cpu hours", "step 1", "0.125"):
        assert told in text
    assert "0.75" not in text
    view.trouble("no service\nanswers")
    view.forget_metrics()
    assert "0.125" not in shown(view)
    assert "trying again: no service answers" in shown(view)


def shown(view: LivePicture) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
