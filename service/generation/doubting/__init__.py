"""What words alone tell of a question that should not be answered with SQL."""
