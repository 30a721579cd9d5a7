"""MultiWorkerMirroredStrategy of TensorFlow: one worker a node, which find each other by TF_CONFIG.

`skyrig train --script examples/tensorflow/train.py --strategy tensorflow --nodes 2` sets that variable.
"""

import json
import os

import tensorflow as tf

BATCH = 64
STEPS = 50

strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = tf.keras.Sequential([tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")

inputs = tf.random.stateless_uniform((BATCH * STEPS, 8), seed=(1, 2))
targets = tf.reduce_sum(inputs, axis=1, keepdims=True)
data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(BATCH).repeat()
history = model.fit(data, epochs=2, steps_per_epoch=STEPS, verbose=0)

task = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]
first, last = history.history["loss"][0], history.history["loss"][-1]
print(f"worker {task['index']} of {strategy.num_replicas_in_sync}: loss {first:.3f}, then {last:.3f}", flush=True)
