import skyrig as sky

task = sky.Task(
    resources=sky.Resources(accelerators=["H100:8", "A100:8"], memory="64GB+", image_id="docker:nvcr.io/x:1")
)
