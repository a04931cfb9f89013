"""How a schema is written for the model: one file a form, and what they share."""
