"""What is wrong with a data set, in the JSON and in the files."""
