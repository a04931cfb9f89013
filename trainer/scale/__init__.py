"""From one process to several nodes by settings alone: start, ranks, options, memory."""
