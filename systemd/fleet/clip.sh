#!/bin/bash
# The same without HTCondor: Slurm with a shared folder. sbatch --requeue clip.sh FOLDER; see docs/PORTABLE_JOBS.md.
#SBATCH --requeue --signal=TERM@120
sorad-worker --model "${SORAD_MODEL:-/usr/share/sorad/models/sorad-mini.gguf}" --once "$1" --checkpoint-every "${EVERY:-600}"
status=$?; [ $status -ne 85 ] || scontrol requeue "$SLURM_JOB_ID"; exit $((status == 85 ? 0 : status))
