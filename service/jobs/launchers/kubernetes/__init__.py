"""Runs trainers as Jobs of a Kubernetes cluster (docs/jobs/kubernetes.md)."""
