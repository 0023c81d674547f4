"""Where a model goes wrong, as a page."""
