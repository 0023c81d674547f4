# Photographed facades (building-facade-segmentation, CC BY 4.0), 512 x 512.
_base_ = './dsb2018_panoptic.py'
data_root = 'data/facades/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='Resize', scale_factor=factor, keep_ratio=True)]
            for factor in (0.5, 0.625, 0.75, 0.875, 1.0, 1.25)
        ],
    ),
    dict(type='RandomCrop', crop_size=(256, 256), allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackPanopticInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
    dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True),
    dict(type='PackPanopticInputs'),
]
val_files = dict(data_root=data_root, data_prefix=dict(img='val/', seg='annotations/panoptic_val/'))

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **val_files))
test_dataloader = dict(
    dataset=dict(pipeline=test_pipeline, ann_file='annotations/panoptic_val.json', **val_files)
)

val_evaluator = [dict(type='PanopticQualityMetric', classwise=True)]
test_evaluator = val_evaluator
