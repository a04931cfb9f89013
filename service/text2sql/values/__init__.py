"""Value retrieval: which of a database's own values a question names (docs/values.md).

index.py                          the part that others use; match.py is what it finds
read.py                           the values, through the sandbox
table.py, file.py, store.py       what they are kept in
text.py, words.py, names.py, phrases.py   what of a question is looked for
fuzzy.py, find.py                 what is found
"""
