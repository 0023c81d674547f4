"""What check_dataset.py looks for, in the JSON and in the files, and how it reports."""
