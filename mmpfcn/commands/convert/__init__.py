"""Data sets of other formats to COCO panoptic, and the drawn data set."""
