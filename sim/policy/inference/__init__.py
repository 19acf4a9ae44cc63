"""What allocations and rules of evidence share: arms compared, planned samples, posteriors, bounds. No rule stands here."""
