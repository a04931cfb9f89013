"""What the beginning of a query looks like."""

import re

# SELECT, or WITH name [(columns)] AS, which prose beginning with "With" is not.
STATEMENT = (
    r"(?:SELECT\b|WITH[ \t\r\n]+(?:RECURSIVE[ \t\r\n]+)?"
    r"(?:\w+|\"[^\"\n]*\"|`[^`\n]*`|\[[^]\n]*\])\s*(?:\([^()]*\)\s*)?AS\b)"
)
LEADING_STATEMENT = re.compile(rf"(?:\s|\(|--[^\n]*\n)*+{STATEMENT}", re.IGNORECASE)
