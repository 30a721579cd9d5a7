cd src
python train.py --lr 0.1 | tee log
