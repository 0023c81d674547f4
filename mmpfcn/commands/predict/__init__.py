"""Panoptic segmentation of images, folders, videos or a camera."""
