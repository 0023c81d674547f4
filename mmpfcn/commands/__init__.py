"""`mmpfcn COMMAND`: each module or package here is a command line; tools/*.py call them."""
