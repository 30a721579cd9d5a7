"""MultiWorkerMirroredStrategy of TensorFlow: one worker a node, which find each other by TF_CONFIG.

The loop is written out, since `fit` of Keras 3 knows this strategy no longer.
"""

import json
import os

import tensorflow as tf

BATCH, STEPS, WIDTH = (
    int(os.environ.get(name, default)) for name, default in (("BATCH", 64), ("STEPS", 50), ("WIDTH", 32))
)
EPOCHS, FEATURES = 2, 8

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else: it meets the other workers


def rows(context: tf.distribute.InputContext) -> tf.data.Dataset:
    """This worker's share of each batch: numbers, and their sum."""
    seeds = tf.data.Dataset.counter().shard(context.num_input_pipelines, context.input_pipeline_id)
    each = context.get_per_replica_batch_size(BATCH)

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inputs = tf.random.stateless_uniform((each, FEATURES), seed=tf.stack([number, 1]))
        return inputs, tf.reduce_sum(inputs, axis=1, keepdims=True)

    return seeds.map(batch)


with strategy.scope():
    start = tf.random.stateless_normal
    weights = [
        tf.Variable(start((FEATURES, WIDTH), seed=(1, 1)) / FEATURES**0.5),
        tf.Variable(tf.zeros(WIDTH)),
        tf.Variable(start((WIDTH, 1), seed=(1, 2)) / WIDTH**0.5),
        tf.Variable(tf.zeros(1)),
    ]


def update(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """One step on one replica; its loss. The gradients of all replicas are added up before they are used."""
    into, bias, out, offset = weights
    with tf.GradientTape() as tape:
        answers = tf.nn.relu(inputs @ into + bias) @ out + offset
        loss = tf.reduce_mean((answers - targets) ** 2)
    context = tf.distribute.get_replica_context()
    gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, tape.gradient(loss, weights))
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.assign_sub(0.05 * gradient)
    return loss


@tf.function
def step(batches: tf.data.Iterator) -> tf.Tensor:
    """One step on all replicas; the mean of their losses."""
    losses = strategy.run(update, args=next(batches))
    return strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)


batches = iter(strategy.distribute_datasets_from_function(rows))
means = [float(sum(step(batches) for _ in range(STEPS)) / STEPS) for _ in range(EPOCHS)]
task = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]
first, last = means[0], means[-1]
assert last < first, "nothing was learnt"
print(f"worker {task['index']} of {strategy.num_replicas_in_sync}: loss {first:.3f}, then {last:.3f}", flush=True)
