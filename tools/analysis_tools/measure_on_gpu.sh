#!/usr/bin/env bash
# What wants a GPU, in about ten minutes: two trainings with networks as wide as the paper's, precision
# of the trained one, and speed against mmdet's models. Logs and tables lie in OUT.
#
#     bash tools/analysis_tools/measure_on_gpu.sh OUT
#
# It needs data/dsb2018, data/facades and work_dirs/tf_efficientnet_lite0.pth (docs/small_objects.md).
# To try it on a CPU: DEVICE=cpu ITERATIONS=2 SIZE="64 96" BATCH=2 IMAGES=2 REPEATS=1 bash ...
set -euo pipefail
out=${1:?folder of the results}
iterations=${ITERATIONS:-600} batch=${BATCH:-16} size=${SIZE:-800 1333}
configs=$(dirname "$0")/../../configs/panoptic_fcn
mkdir -p "$out"
{ nvidia-smi || true; python -m torch.utils.collect_env; } > "$out/machine.txt" 2>&1

head=model.panoptic_head
options=(
    "model.neck.out_channels=256"
    "$head.kernel_generator.in_channels=256" "$head.kernel_generator.feat_channels=256"
    "$head.feature_encoder.in_channels=256" "$head.feature_encoder.feat_channels=256"
    "train_dataloader.batch_size=$batch" "train_dataloader.num_workers=6"
    "train_cfg.max_iters=$iterations" "train_cfg.val_interval=$iterations"
    "param_scheduler.1.end=$((iterations + 1))" "default_hooks.checkpoint.interval=$iterations"
)
if [[ -n ${IMAGES:-} ]]; then
    options+=("val_dataloader.dataset.indices=$IMAGES" "test_dataloader.dataset.indices=$IMAGES")
fi
for set in dsb2018 facades; do
    python -m mmpfcn train "$configs/lite0_plus_$set.py" --work-dir "$out/$set" \
        --cfg-options "${options[@]}" > "$out/train_$set.log" 2>&1
done
python "$(dirname "$0")/compare_precision.py" "$out/facades/lite0_plus_facades.py" \
    "$out/facades/iter_$iterations.pth" --max-difference 100 > "$out/precision.md"

read -ra sides <<< "$size"
benchmark() {
    python "$(dirname "$0")/benchmark.py" --device "${DEVICE:-cuda}" --size "${sides[@]}" --objects 40 \
        --peers panoptic-fpn maskformer mask2former --repeats "${REPEATS:-20}" --warmup "${WARMUP:-3}" \
        --dtype float32 bf16 "$@" "$configs/r50_coco.py"
}
# a figure that could not be measured, of a peer in bfloat16 for one, stands in the table
failed=0
benchmark --batch-size 1 8 --out "$out/inference" || failed=1
benchmark --train --memory --batch-size 2 --out "$out/training" || failed=1
exit $failed
