"""Child process that talks to the Hugging Face hub: `probe ID COMMIT` and `fetch ID COMMIT OUT`.

`probe` prints the number of bytes that `fetch` would download. A process of its own, so that a
download can be stopped and its library leaves the service's memory again.
"""

import fnmatch
import shutil
import sys
from pathlib import Path

PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model", "LICENSE*")
PROBE_TIMEOUT_S = 3.0


def probe(hub_id: str, commit: str) -> int:
    """Bytes of the files that fetch takes; raises what huggingface_hub raises."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(hub_id, revision=commit, timeout=PROBE_TIMEOUT_S, files_metadata=True)
    return sum(f.size or 0 for f in info.siblings or [] if _wanted(f.rfilename))


def fetch(hub_id: str, commit: str, out: Path) -> None:
    """Download config, tokenizer and safetensors into `out`; raises as huggingface_hub does."""
    from huggingface_hub import snapshot_download

    snapshot_download(
        hub_id,
        revision=commit,
        local_dir=out,
        allow_patterns=list(PATTERNS),
        ignore_patterns=["*/*"],
        etag_timeout=PROBE_TIMEOUT_S,
    )
    shutil.rmtree(out / ".cache", ignore_errors=True)


def _wanted(filename: str) -> bool:
    return "/" not in filename and any(fnmatch.fnmatch(filename, p) for p in PATTERNS)


def main(verb: str, hub_id: str, commit: str, *out: str) -> int:
    """Run one verb; 0, or 1 with one line on standard error."""
    try:
        if verb == "probe":
            sys.stdout.write(str(probe(hub_id, commit)))
        else:
            fetch(hub_id, commit, Path(out[0]))
    # A process boundary: the parent gets one line, not a traceback.
    except Exception as error:  # noqa: BLE001
        first = str(error).strip().split("\n")[0]
        sys.stderr.write(f"{type(error).__name__}: {first}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
