"""From a question to an answer: what POST /generate does, stage by stage.

task.py        what is asked, what is answered
generator.py   the stages in their order
context.py     the database's schema, and what in it the question seems to name
draft.py       one candidate: the model's text, its SQL, what the SQL engine made of it
vote.py        which candidate is chosen
repair.py      what the model is told about a query that failed
explain.py, lineage.py, dialects.py, chart.py, result_types.py   pure functions on the answer
"""
