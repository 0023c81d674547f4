# Eight training photos without tiny objects (30 things and 30 stuff segments of 34 classes) at
# 480 px, for training and for testing, without flips.
_base_ = './coco_panoptic.py'

photos = dict(
    ann_file='annotations/panoptic_train2017.json',
    data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
    indices=[1, 5, 15, 22, 41, 86, 91, 99],
)
# not filtered, so that the indices mean the same photos in training and in testing
train_dataloader = dict(batch_size=4, dataset=dict(filter_cfg=None, **photos))
val_dataloader = dict(dataset=photos)
test_dataloader = val_dataloader
val_evaluator = [dict(type='PanopticQualityMetric')]
test_evaluator = val_evaluator

_base_.train_dataloader.dataset.pipeline[2].scales = [(480, 480)]
_base_.train_dataloader.dataset.pipeline[3].prob = 0.0
_base_.val_dataloader.dataset.pipeline[1].scale = (480, 480)
_base_.test_dataloader.dataset.pipeline[1].scale = (480, 480)
