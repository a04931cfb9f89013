"""The program that heeds Ctrl-C however these tests were started."""

import sys

# A shell that starts the tests in the background has its children ignore SIGINT.
VERISQL = (
    sys.executable,
    "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('service', run_name='__main__')",
)
