"""Pictures of a data set as it is trained on."""
