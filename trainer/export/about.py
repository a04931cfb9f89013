"""What a run cannot know about itself and the card says: name, licences, data sets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class About:
    """Given by whoever exports; None is worked out from the run."""

    name: str | None = None
    """Of the model; the job's name and the base's by default."""
    license: str | None = None
    """Of the exported weights; the base's by default."""
    datasets: tuple[str, ...] = ()
    """Names of the training data on the hub; the training file's name by default."""
    data_license: str | None = None
    """Of the training data, in words."""
    language: str = "en"
    limits: tuple[str, ...] = ()
    """Further ones, a sentence each."""
