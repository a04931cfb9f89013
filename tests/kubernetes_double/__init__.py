"""An API server of our own for tests: real HTTP, as strict as the real one where we meet it."""
