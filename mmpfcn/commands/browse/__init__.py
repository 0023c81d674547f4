"""Parts of browse_dataset.py."""
