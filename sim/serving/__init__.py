"""How a version behaves behind a real server: requests sent in real time, and what they tell of service and concurrency."""

__all__ = ["calls", "measure", "rows", "server"]
