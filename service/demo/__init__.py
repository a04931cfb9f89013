"""The demo database that ships with the project: an outdoor-gear retailer and 40 questions."""

from service.demo.build import DEMO_DB_ID, build_demo, questions_path

__all__ = ["DEMO_DB_ID", "build_demo", "questions_path"]
