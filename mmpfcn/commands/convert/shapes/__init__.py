"""The embedded data set: drawing (`scene` and what it uses) and writing (`coco_format`)."""
