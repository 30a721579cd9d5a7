#!/bin/bash
# Rendered by Skyrig. Slurm runs this in the job's folder on the first of its nodes; it prepares the job and starts
# run/run.sh on each node by srun. Values of variables, and secrets, are not here: they lie in secret.json beside it.
#SBATCH --job-name=golden
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --output=batch.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --partition=gpu
#SBATCH --gres=gpu:h100:8
#SBATCH --signal=B:USR1@120
#SBATCH --time=10

python=$(type -P python3) || {
  echo "skyrig: no python3 on this node" >&2
  exit 127
}
exec "$python" -I -S node.py batch
