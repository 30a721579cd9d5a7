import skyrig as sky

task = sky.Task(
    name="minGPT-ddp",
    resources=sky.Resources(cpus="4+", accelerators="L4:4"),
    setup=["git clone x"],
    run=["torchrun main.py"],
)
