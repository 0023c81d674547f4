_base_ = './r50_coco_3x.py'

model = dict(train_cfg=dict(num_positives=3))

_base_.train_dataloader.dataset.pipeline[2].scales = [(854, side) for side in range(352, 513, 32)]
_base_.val_dataloader.dataset.pipeline[1].scale = (854, 512)
_base_.test_dataloader.dataset.pipeline[1].scale = (854, 512)
