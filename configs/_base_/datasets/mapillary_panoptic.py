# What tools/dataset_converters/mapillary_panoptic.py makes of the download, v1.2.
_base_ = './cityscapes_panoptic.py'

data_root = 'data/mapillary/'
train_dataloader = dict(
    dataset=dict(data_root=data_root, data_prefix=dict(img='training/images/', seg='training/'))
)
val_dataloader = dict(
    dataset=dict(data_root=data_root, data_prefix=dict(img='validation/images/', seg='validation/'))
)
test_dataloader = val_dataloader

# The paper gives the ends of the choice, 1024 and 2048, of the short side; the step is ours.
_base_.train_dataloader.dataset.pipeline[2].scales = [
    (100 * side, side) for side in range(1024, 2049, 64)
]
_base_.train_dataloader.dataset.pipeline[3].crop_size = (1024, 1024)
_base_.val_dataloader.dataset.pipeline[1].scale = (2048, 2048)
_base_.test_dataloader.dataset.pipeline[1].scale = (2048, 2048)

val_evaluator = [
    dict(type='PanopticQualityMetric', classwise=True),
    dict(type='RegionSemSegMetric'),
]
test_evaluator = val_evaluator
