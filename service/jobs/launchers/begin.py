"""The first program in a trainer's process: it notes who it is, then becomes the trainer.

Run by the local launcher as `python -I begin.py PROCESS_FILE ATTEMPT COMMAND...`; the file's folder
becomes the working directory, so that what a library drops there stays with the run. The note is
written by the process itself, before the trainer starts: no crash of the service can leave a
trainer that nobody can find. `exec` keeps the process id and the start time. Standard library
only, for speed.
"""

import errno
import json
import os
import sys
from pathlib import Path

FULL_EXIT = 74
"""That of rundir.py, which cannot be imported here."""
LOCK_FD = 3
"""Where the launcher puts the open lock file: the first number after the standard three."""


def born(pid: int) -> str | None:
    """When process `pid` started, as text that no later process with that id shares; None if gone.

    On Linux the boot's id and the start in clock ticks since boot, which no clock change moves.
    """
    if not Path("/proc/self/stat").exists():
        return _born_elsewhere(pid)
    stat = _stat(pid)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{stat[19]}" if stat else None


def is_zombie(pid: int) -> bool:
    """True if the process has ended and only its exit code is left."""
    stat = _stat(pid)
    return stat is not None and stat[0] in ("Z", "X")


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, which may hold spaces and brackets.
    return text.rpartition(")")[2].split()


def _born_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def _note(path: Path, attempt: int) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        json.dump({"pid": os.getpid(), "born": born(os.getpid()), "attempt": attempt}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def main(arguments: list[str]) -> None:
    """Write the note, become the command."""
    process_file, attempt, *command = arguments
    # Files that the service itself had inherited; the lock stays.
    os.closerange(LOCK_FD + 1, os.sysconf("SC_OPEN_MAX"))
    try:
        _note(Path(process_file), int(attempt))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(FULL_EXIT)
        raise
    os.chdir(Path(process_file).parent)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
