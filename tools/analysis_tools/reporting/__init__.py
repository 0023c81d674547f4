"""Parts of report.py."""
