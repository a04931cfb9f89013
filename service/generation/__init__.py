"""From a question to an answer: candidates, vote, repair, and what is said about the SQL."""
