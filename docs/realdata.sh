#!/usr/bin/env bash
# One report of the small real data: imports four scans, trains two networks on simulated ones alone, undersamples the
# full scans 4x, reconstructs them by the networks and every classical method, scores, reports.
# Usage: docs/realdata.sh REALDATA [OUT] [VOLUMES] [EPOCHS]    VOLUMES: simulated ones to train on, of each anatomy
set -euo pipefail
REALDATA=$1
OUT=${2:-runs/real}
VOLUMES=${3:-30}
EPOCHS=training.num_epochs=${4:-10}
DATA=$OUT/data

mrikit data import "$REALDATA/ucsf_knee_coronal_fatsat_singlecoil.mat" --key kdata --axes phase,readout \
    --anatomy knee --acquisition CORPDFS_FBK --volume-id knee --out "$DATA"
mrikit data import "$REALDATA/ucsf_head_se_t1_sag_singlecoil.mat" --key data --axes phase,readout \
    --anatomy brain --acquisition SAGT1 --volume-id head --out "$DATA"
mrikit data import "$REALDATA/cloudmr_phantom_16coil_signal.npy" --axes readout,phase,coil \
    --noise "$REALDATA/cloudmr_phantom_16coil_noise.npy" \
    --anatomy phantom --acquisition PHANTOM --volume-id phantom --out "$DATA"
mrikit data import "$REALDATA/sigpy_brain_8coil_us8x.npy" --axes coil,readout,phase \
    --anatomy brain --acquisition POISSON8X --volume-id brain_poisson --out "$DATA"

mrikit simulate knee --volumes "$VOLUMES" --coils 4,8,16 --slices 2 --size half --out "$OUT/multicoil"
mrikit simulate brain --volumes "$VOLUMES" --coils 4,8,16 --slices 2 --size half --out "$OUT/multicoil"
mrikit train --task knee_multicoil --size tiny --data "$OUT/multicoil" --out "$OUT/varnet" --set "$EPOCHS" \
    --set data.anatomy=
mrikit simulate knee --volumes "$VOLUMES" --coils 1 --slices 2 --size half --out "$OUT/singlecoil"
mrikit simulate brain --volumes "$VOLUMES" --coils 1 --slices 2 --size half --out "$OUT/singlecoil"
mrikit train --task knee_singlecoil --size tiny --data "$OUT/singlecoil" --out "$OUT/unet" --set "$EPOCHS" \
    --set data.anatomy=
mrikit demo --data "$DATA" --acceleration 4 --out "$OUT" --weights "$OUT/varnet" --weights "$OUT/unet"
