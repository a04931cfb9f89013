"""From votes to a confidence that was observed."""

import pytest

from service.engine.base import Sampling
from service.generation.confidence import (
    Confidence,
    ascending,
    calibration_error,
    calibrations,
    confidence,
    interpolated,
    isotonic,
)


def test_a_single_candidate_has_no_vote_to_be_confident_of() -> None:
    assert confidence(1.0, Sampling(), "any") is None


def test_a_model_that_was_not_measured_gets_its_share_and_is_told_so() -> None:
    found = confidence(0.625, Sampling(0.8, n=8), "some other model")
    assert found
    assert (found.value, "not calibrated" in found.basis) == (0.625, True)


def test_isotonic_regression_by_hand() -> None:
    # Shares 0.25 (1 of 2 right), 0.5 (0 of 1), 1.0 (2 of 2): the first two blocks pool to 1 of 3,
    # which Laplace's rule makes 2 of 5, and 2 of 2 become 3 of 4.
    outcomes = [(0.25, True), (0.25, False), (0.5, False), (1.0, True), (1.0, True)]
    points = isotonic(outcomes)
    assert points == [(pytest.approx(1 / 3), pytest.approx(0.4)), (1.0, 0.75)]
    assert interpolated(points, 0.0) == pytest.approx(0.4)
    assert interpolated(points, 2 / 3) == pytest.approx(0.575)
    assert interpolated(points, 1.0) == 0.75


def test_calibration_error_by_hand() -> None:
    # Says 1.0 four times and is right three times: a gap of a quarter.
    outcomes = [(1.0, True)] * 3 + [(1.0, False)]
    assert calibration_error([(0.0, 0.0), (1.0, 1.0)], outcomes) == pytest.approx(0.25)


def test_what_is_shipped_never_falls() -> None:
    for known in calibrations():
        assert ascending(known.points), known.model
        assert all(0 <= y <= 1 for _, y in known.points)


def test_what_does_not_run_deserves_no_confidence_whatever_was_measured() -> None:
    model = next((known.model for known in calibrations()), "any")
    assert confidence(0.0, Sampling(0.8, n=3), model) == Confidence(0.0, "no candidate runs")
