"""Other people's wire formats, in front of the same core."""
