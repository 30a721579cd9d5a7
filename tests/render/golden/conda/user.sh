conda activate base || true
python train.py
