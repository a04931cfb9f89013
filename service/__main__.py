"""`python -m service` is the `verisql` command."""

from service.cli import main

main()
