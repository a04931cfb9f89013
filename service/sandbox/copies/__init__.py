"""Altered copies of a database: built once, planted with a query's literals, judged on."""
