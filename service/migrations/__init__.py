"""The schema of our own database, revision by revision (docs/store.md)."""
