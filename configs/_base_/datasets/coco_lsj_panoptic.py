# Large-scale jitter (arXiv 2012.07177): from a tenth to twice the size, and crops of 1024 x 1024.
_base_ = './coco_panoptic.py'

# Batches are padded to their largest image, as in testing, not to 1024 x 1024.
_base_.train_dataloader.dataset.pipeline[2:3] = [
    dict(
        type='RandomResize',
        scale=(1024, 1024),
        ratio_range=(0.1, 2.0),
        resize_type='Resize',
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=(1024, 1024), recompute_bbox=True, allow_negative_crop=True),
]
