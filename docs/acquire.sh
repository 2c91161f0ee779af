#!/usr/bin/env bash
# Active acquisition in one command: simulates knees, trains a reconstructor for every step of an episode and a policy on
# it, acquires knees of other patients by that policy and by four that need no training, scores, and draws one report.
# Usage: docs/acquire.sh [OUT] [VOLUMES] [STEPS] [EPOCHS]    VOLUMES: to train on; STEPS: lines chosen while learning
set -euo pipefail
OUT=${1:-runs/acquire}
VOLUMES=${2:-24}
STEPS=${3:-8000}
EPOCHS=${4:-10}

mrikit simulate knee --coils 4 --volumes "$VOLUMES" --slices 4 --matrix 256,128 --out "$OUT/data"
mrikit simulate knee --coils 4 --volumes 12 --slices 2 --matrix 256,128 --seed 1 --out "$OUT/new"
NEW=$OUT/new/multicoil_train  # of these the test set is undersampled
mrikit train --task knee_acquire --size tiny --data "$OUT/data" --out "$OUT/run" --set policy=ss_ddqn \
    --set training.num_epochs="$EPOCHS" --set learning.num_steps="$STEPS"

mrikit acquire --data "$NEW" --out "$OUT/recon/ss_ddqn" --weights "$OUT/run"
by_name() {  # policy, and its settings
    mrikit acquire --data "$NEW" --out "$OUT/recon/$1" --policy "$@" \
        --reconstructor "$OUT/run" --given 4 --budget 12
}
by_name random
by_name low_to_high
by_name equispaced
by_name oracle --set num_samples=16

mrikit evaluate --recon "$OUT/recon/ss_ddqn" --recon "$OUT/recon/random" --recon "$OUT/recon/low_to_high" \
    --recon "$OUT/recon/equispaced" --recon "$OUT/recon/oracle"
mrikit report "$OUT"
