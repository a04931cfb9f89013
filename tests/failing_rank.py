"""One rank whose neighbour's verifier goes away: python failing_rank.py

Started with RANK and WORLD_SIZE by torchrun's rules. Prints what this rank learns of it.
"""

import torch.distributed

from trainer.errors import RunFailed, VerifierAway
from trainer.scale.ranks import failing_together, rank


def verify() -> str:
    """Fails on the second rank alone."""
    if rank() == 1:
        raise VerifierAway("nobody answers at http://judge", param="verify_url")
    return "verdicts"


def main() -> None:
    """Ask once together with all others, then alone."""
    torch.distributed.init_process_group("gloo")
    print(failing_together(lambda: f"rank {rank()} goes on"), flush=True)  # noqa: T201
    try:
        failing_together(verify)
    except RunFailed as error:
        print(f"{error.code} {error.param}: {error.message}", flush=True)  # noqa: T201
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
