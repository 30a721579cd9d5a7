import skyrig as sky

minGPT_ddp_task = sky.Task(
    name="minGPT-ddp",
    resources=sky.Resources(
        cpus="4+",
        accelerators="L4:4",
    ),
    # Optional: upload a working directory to remote ~/sky_workdir.
    # Commands in "setup" and "run" will be executed under it.
    #
    workdir=".",
    #
    # Optional: upload local files.
    # Format:
    #   /remote/path: /local/path
    #
    # file_mounts={
    #     '~/.vimrc': '~/.vimrc',
    #     '~/.netrc': '~/.netrc',
    # },
    setup=[
        "cd examples",
        "uv pip install --system -r requirements.txt",
    ],
    run=[
        "cd examples/mingpt",
        "export LOGLEVEL=INFO",
        "torchrun --nproc_per_node=$SKYPILOT_NUM_GPUS_PER_NODE main.py",
    ],
)

cluster_name = "mingpt"
launch_request = sky.launch(task=minGPT_ddp_task, cluster_name=cluster_name)
job_id, _ = sky.stream_and_get(launch_request)
sky.tail_logs(cluster_name, job_id, follow=True)
