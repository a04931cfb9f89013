"""Trainers on a Ray cluster, by Ray's Jobs API over HTTP; Ray itself is not imported here."""
