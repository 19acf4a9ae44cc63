"""Shared by allocations and rules of evidence: comparisons of arms, planned samples, posteriors, bounds. It defines no rule."""
