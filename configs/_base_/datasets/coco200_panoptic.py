# 200 photos of COCO in five folds of 40: FOLD=0 to 4 in the environment says which is tested, the
# others are trained on. Both parts of 100 photos give every fifth to a fold.
_base_ = './dsb2018_panoptic.py'
data_root = 'data/coco200/'
fold = int('{{$FOLD:0}}')
if fold not in range(5):
    raise ValueError(f'FOLD={fold}, expected 0 to 4')
tested = list(range(fold, 100, 5))
trained = sorted(set(range(100)) - set(tested))

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, side) for side in range(256, 449, 32)],
        resize_type='Resize',
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=(256, 256), allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackPanopticInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(640, 320), keep_ratio=True),
    dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True),
    dict(type='PackPanopticInputs'),
]


loading = dict(type='PanopticDataset', data_root=data_root)
trained_part = dict(loading, pipeline=train_pipeline, indices=trained)
tested_part = dict(loading, pipeline=test_pipeline, indices=tested, test_mode=True)
train2017 = dict(
    ann_file='annotations/panoptic_train2017.json',
    data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
)
val2017 = dict(
    ann_file='annotations/panoptic_val2017.json',
    data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(trained_part, **train2017), dict(trained_part, **val2017)],
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(tested_part, **train2017), dict(tested_part, **val2017)],
    ),
)
test_dataloader = val_dataloader

val_evaluator = [dict(type='PanopticQualityMetric')]
test_evaluator = val_evaluator
