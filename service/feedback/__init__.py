"""The loop of use: answers are remembered, people judge them, what they confirm is found again."""
