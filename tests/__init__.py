"""Tests; each file mirrors one part."""
