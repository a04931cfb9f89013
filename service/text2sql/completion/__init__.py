"""Take the SQL out of what a model wrote, and say whether the form asked for was kept.

Pure, and linear in the length of the text. What is read, in order:

    chat.py      which turn is the model's, without the marks of chat templates
    thinking.py  what of it is the answer, and what was thought before
    blocks.py    <answer> tags and ```sql fences; marks.py tells a mark from a mention of it
    bare.py      a query, or a JSON object with one, that stands in the text as it is
    extract.py   the modes
    strict.py    the form, kept to the letter

What the model wrote is never mended: HTML entities (`&lt;`), typographic quotes and characters of
no width inside the query stay and fail as SQL, since a caller who runs the text would fail too.
Comments and white space stay as they are: joining lines would let a `--` eat the rest.
"""

from service.text2sql.completion.extract import extract_sql
from service.text2sql.completion.strict import keeps_format

__all__ = ["extract_sql", "keeps_format"]
