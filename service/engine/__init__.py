"""The language model: a supervised vLLM server and what is asked of it."""
