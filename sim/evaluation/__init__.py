"""How versions score on labelled data, without traffic: hold-out, k-fold, bootstrap, one against another."""

__all__ = ["evaluate", "metrics", "record"]
