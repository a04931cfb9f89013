"""VeriSQL: text-to-SQL inference, verification by execution, and training jobs."""

__version__ = "0.1.0"
