#!/usr/bin/env bash
# One report of the small real data: imports four scans, undersamples the full ones 4x, reconstructs, scores, reports.
# Usage: docs/realdata.sh REALDATA [OUT]
set -euo pipefail
REALDATA=$1
OUT=${2:-runs/real}
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
mrikit demo --data "$DATA" --acceleration 4 --out "$OUT"
