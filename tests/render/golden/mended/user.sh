torchrun --nnodes $SKYPILOT_NUM_NODES prepare.py
deepspeed --num_nodes $SKYPILOT_NUM_NODES train.py
