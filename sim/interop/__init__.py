"""How other programs roll out: their manifests as policies of a scenario, and policies as their manifests."""

__all__ = ["accounting", "exporting", "importing", "objects", "policy", "read", "reading", "tokens", "writing"]
