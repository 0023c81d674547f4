# A check, not a model: eight COCO photos are learned by heart. docs/benchmarks.md has the result.
_base_ = [
    '../_base_/models/panoptic_fcn_r18.py',
    '../_base_/datasets/coco_overfit8_panoptic.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/default_runtime.py',
]
