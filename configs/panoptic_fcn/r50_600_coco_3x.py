_base_ = './r50_coco_3x.py'

model = dict(train_cfg=dict(num_positives=5))

_base_.train_dataloader.dataset.pipeline[2].scales = [(1000, side) for side in range(440, 601, 32)]
_base_.val_dataloader.dataset.pipeline[1].scale = (1000, 600)
_base_.test_dataloader.dataset.pipeline[1].scale = (1000, 600)
