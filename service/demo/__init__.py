"""The demo database that ships with the project."""
