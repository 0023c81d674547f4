"""How a result came about, as a page."""
